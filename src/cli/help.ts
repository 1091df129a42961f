import { optionEntries } from '../config/options.ts';
import { askFlags } from './arguments.ts';
import type { Command, Flag } from './command.ts';
import { commands } from './commands/all.ts';

const usageOf = ({ words, synopsis }: Command): string => [...words, synopsis].join(' ').trimEnd();

/** The commands, and what each is for; of one group, or all with the server's options. */
export function helpText(group?: string): string {
  const shown = commands.filter(({ words }) => group === undefined || words[0] === group);
  const widest = Math.max(...shown.map((each) => usageOf(each).length));
  const lines = shown.map((each) => `  ${usageOf(each).padEnd(widest)}  ${each.summary}`).join('\n');
  if (group !== undefined)
    return `Usage: tidemark ${group} COMMAND\n\n${lines}\n\ntidemark ${group} COMMAND --help says more.`;
  return `Usage: tidemark [serve] [options]
       tidemark COMMAND ...

Runs a Tidemark server: Milvus clients connect to its gRPC port; health, metrics and administration are on its HTTP port.
The other commands ask a server that runs; tidemark COMMAND --help says more:
${lines}

Options
  --config FILE
      Configuration file (YAML). Default: tidemark.yaml in the working directory, when there is one.
  -h, --help       this text
  -v, --version    the version

Each of these can also stand in the file or in the environment; a flag wins over the environment, that over the file:
${serverOptions()}

Exit codes: 0 done, stopped as asked, 1 failed, could not start or go on, 2 wrong usage, 3 a snapshot is damaged (verify, describe, dry run,
drill),
4 two snapshots differ (diff), 130 stopped by Ctrl-C.`;
}

function serverOptions(): string {
  const lines = optionEntries.map(({ name, environment, option }) => {
    const flags = option.flag === undefined ? `--${name}` : `--${option.flag}, --${name}`;
    const range =
      option.oneOf ??
      (option.unit === undefined ? [] : [`${option.min}..${option.max} ${option.unit}`.trim()]);
    const notes = [`default ${option.value}`, ...(range.length > 0 ? [range.join(' | ')] : []), environment];
    return `  ${flags}\n      ${option.help}\n      (${notes.join('; ')})`;
  });
  return lines.join('\n');
}

/** The text of `tidemark COMMAND --help`. */
export function helpOf(command: Command): string {
  const help: Flag = { type: 'boolean', help: 'this text' };
  const flags = Object.entries({ ...command.flags, ...askFlags, help }).map(([name, flag]) => [
    flag.value === undefined ? `--${name}` : `--${name} ${flag.value}`,
    flag.help,
  ]);
  const widest = Math.max(...flags.map(([name]) => name?.length ?? 0));
  return `Usage: tidemark ${usageOf(command)} [options]

${command.summary[0]?.toUpperCase()}${command.summary.slice(1)}.
${command.help}

${flags.map(([name, text]) => `  ${name?.padEnd(widest)}  ${text}`).join('\n')}`;
}
