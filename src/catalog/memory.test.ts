import { kvSuite } from './kv.suite.ts';
import { MemoryKv } from './memory.ts';

kvSuite('memory', () => {
  const kv = new MemoryKv();
  return Promise.resolve({ open: () => Promise.resolve(kv) });
});
