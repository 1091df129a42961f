/** The map of rooms, as data. ARCHITECTURE.md prints it; this file is what the build believes. */
export const layers = {
  /** Knows no Milvus noun; worker threads hand typed errors over. */
  support: ['errors'],
  errors: [],
  config: ['support', 'errors'],
  model: ['support', 'errors'],
  'vector-index': ['support', 'errors', 'model'],
  /** Text and binary forms of geometries: the wire's, the filters' and the files'. */
  geometry: ['support', 'errors'],
  /** Points in time as text, and the zones they are told in. */
  timestamptz: ['support', 'errors'],
  /** From text to tokens: of rows that are written, of queries, of filters. */
  text: ['support', 'errors', 'model'],
  expr: ['support', 'errors', 'model', 'geometry', 'timestamptz', 'text'],
  /** `expr`: its leaves are the questions. */
  'scalar-index': ['support', 'errors', 'model', 'geometry', 'expr'],
  storage: ['support', 'errors', 'model'],
  catalog: ['support', 'errors', 'model'],
  wal: ['support', 'errors', 'model'],
  /** `wal`: a flush turns log records into files. `text`: rows that are older than a function get what it makes of their texts. */
  segment: ['support', 'errors', 'model', 'geometry', 'text', 'storage', 'wal'],
  streamingnode: ['support', 'errors', 'model', 'wal', 'segment'],
  datanode: ['support', 'errors', 'model', 'storage', 'wal', 'segment', 'vector-index', 'streamingnode'],
  querynode: [
    'support',
    'errors',
    'model',
    'storage',
    'wal',
    'segment',
    'vector-index',
    'expr',
    'scalar-index',
    'text',
    'streamingnode',
  ],
  coordinator: [
    'support',
    'errors',
    'config',
    'model',
    'storage',
    'catalog',
    'text',
    'streamingnode',
    'datanode',
    'querynode',
  ],
  proxy: [
    'support',
    'errors',
    'config',
    'model',
    'geometry',
    'timestamptz',
    'expr',
    'text',
    'streamingnode',
    'coordinator',
    'querynode',
  ],
  admin: ['support', 'errors', 'config', 'model', 'coordinator'],
  /** `coordinator`: the types of what the admin server answers. */
  cli: ['support', 'errors', 'config', 'model', 'coordinator', 'server'],
  /** Tidemark in the process of its caller. */
  embedded: ['support', 'errors', 'config', 'model', 'proxy', 'server'],
  server: '*',
  'server-limits': '*',
  worker: '*',
  'write-worker': ['support', 'proxy'],
  'catalog-worker': ['support', 'catalog'],
  'graph-worker': ['support', 'vector-index'],
  main: ['cli'],
  /** What the package exports. */
  index: ['errors', 'embedded'],
} as const;

/** Rooms that other rooms enter only by api.ts. */
export const doors = ['streamingnode', 'datanode', 'querynode', 'coordinator'] as const;
