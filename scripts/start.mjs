// `npm start`: installs what is missing, builds when sources are newer, then is the server, in this process.
import { buildStale, installMissing } from './build.mjs';

installMissing();
await buildStale();
await import('../dist/main.js');
