#!/usr/bin/env node
import { runCli } from './cli/cli.ts';

const exitCode = await runCli(process.argv.slice(2), process.env);
// What failed may have left something running; what was stopped as asked has not, and ends by itself.
if (exitCode === 0) process.exitCode = 0;
else process.exit(exitCode);
