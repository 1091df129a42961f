import { optionEntries } from '../config/options.ts';

/** The text of --help: every option, once, from the table. */
export function helpText(): string {
  const lines = optionEntries.map(({ name, environment, option }) => {
    const flags = option.flag === undefined ? `--${name}` : `--${option.flag}, --${name}`;
    const range =
      option.oneOf ??
      (option.unit === undefined ? [] : [`${option.min}..${option.max} ${option.unit}`.trim()]);
    const notes = [`default ${option.value}`, ...(range.length > 0 ? [range.join(' | ')] : []), environment];
    return `  ${flags}\n      ${option.help}\n      (${notes.join('; ')})`;
  });
  return `Usage: tidemark [serve] [options]

Runs a Tidemark server: Milvus clients connect to its gRPC port, health and metrics are on its HTTP port.

Options
  --config FILE
      Configuration file (YAML). Default: tidemark.yaml in the working directory, when there is one.
  -h, --help       this text
  -v, --version    the version

Each of these can also stand in the file or in the environment; a flag wins over the environment, that over the file:
${lines.join('\n')}

Exit codes: 0 stopped as asked, 1 could not start or go on, 2 wrong usage.`;
}
