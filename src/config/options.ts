/**
 * Every option once. The key is Milvus's where Milvus has one. Each can be set, weakest first: by its default, in the configuration file
 * (YAML, nested or with dots), in the environment (`TIDEMARK_` and the key in capitals, dots as underscores), by a flag.
 */
interface Option<T> {
  readonly value: T;
  readonly help: string;
  /** Short flag name, besides `--<key>`. */
  readonly flag?: string;
  readonly unit?: string;
  readonly min?: number;
  readonly max?: number;
  readonly oneOf?: readonly string[];
}

const number = (
  value: number,
  unit: string,
  min: number,
  max: number,
  help: string,
  flag?: string,
): Option<number> => ({ value, unit, min, max, help, ...(flag === undefined ? {} : { flag }) });
const text = (value: string, help: string, extra: Partial<Option<string>> = {}): Option<string> => ({
  value,
  help,
  ...extra,
});

export const options = {
  'localStorage.path': text('./tidemark-data', 'Data directory: catalog, log and objects.', { flag: 'data' }),
  'proxy.ip': text('127.0.0.1', 'Address to listen on. Anything but loopback is reachable from outside.', {
    flag: 'host',
  }),
  'proxy.port': number(19530, '', 0, 65535, 'gRPC port; 0 takes a free one.', 'port'),
  'metrics.port': number(
    9091,
    '',
    0,
    65535,
    'HTTP port of health and metrics; 0 takes a free one.',
    'http-port',
  ),
  'log.level': text('warn', 'What the log on standard error holds.', {
    flag: 'log-level',
    oneOf: ['debug', 'info', 'warn', 'error', 'silent'],
  }),
  'proxy.grpc.serverMaxRecvSize': number(268_435_456, 'bytes', 1_048_576, 2_000_000_000, 'Largest request.'),
  'dataCoord.segment.maxSize': number(512, 'MB', 1, 1536, 'A growing segment is sealed at this size.'),
  'dataCoord.segment.maxLife': number(3600, 's', 1, 86_400, 'A growing segment is sealed at this age.'),
  'indexCoord.segment.minSegmentNumRowsToEnableIndex': number(
    1024,
    'rows',
    1,
    1_000_000,
    'Smaller segments get no graph: they are searched exactly.',
  ),
  'dataCoord.enableCompaction': text('true', 'Whether segments are compacted at all.', {
    oneOf: ['true', 'false'],
  }),
  'dataCoord.compaction.enableAutoCompaction': text(
    'true',
    'Whether segments are compacted without being asked to. The collection property collection.autocompaction.enabled switches it off for one.',
    { oneOf: ['true', 'false'] },
  ),
  'dataCoord.segment.smallProportion': number(
    0.5,
    '',
    0.01,
    1,
    'Segments below this part of the largest size are merged.',
  ),
  'dataCoord.compaction.min.segment': number(
    4,
    'segments',
    2,
    1000,
    'As many small segments are merged, or as many as fill one.',
  ),
  'dataCoord.compaction.max.segment': number(30, 'segments', 2, 64, 'Most segments merged into one.'),
  'dataCoord.compaction.single.ratio.threshold': number(
    0.2,
    '',
    0.01,
    1,
    'Deletes in relation to rows from which segments are rewritten without their deleted rows.',
  ),
  'dataCoord.compaction.levelzero.forceTrigger.deltalogMinNum': number(
    10,
    'segments',
    2,
    1000,
    'As many delete segments are merged.',
  ),
  'dataCoord.compaction.mix.triggerInterval': number(
    60,
    's',
    0.1,
    3600,
    'Safety-net tick of compaction, and when protected segments are looked at again.',
  ),
  'dataCoord.import.maxSegmentsPerCopyTask': number(
    100,
    'segments',
    1,
    100,
    'Most segments in one copy task.',
  ),
  'dataCoord.copySegmentCheckInterval': number(
    2,
    's',
    0.1,
    3600,
    'Safety-net tick of checker and inspector.',
  ),
  'dataCoord.copySegmentTaskRetention': number(
    10_800,
    's',
    0,
    2_592_000,
    'Ended restore jobs are listed this long.',
  ),
  'dataCoord.copySegmentJobTimeout': number(
    86_400,
    's',
    1,
    2_592_000,
    'A restore without progress for this long fails.',
  ),
  'dataCoord.copySegmentMaxAttempts': number(10, 'attempts', 1, 1000, 'Attempts of one copy task.'),
  'dataCoord.copySegmentMode': text(
    'shared',
    'How a restore copies files: by link or clone, or byte by byte.',
    {
      oneOf: ['shared', 'physical'],
    },
  ),
  'dataCoord.copySegment.maxParallelTasks': number(
    0,
    'tasks',
    0,
    100_000,
    'Copy tasks of all restores at work at once, over all nodes; 0: as many as the nodes have slots for.',
  ),
  'dataCoord.copySegment.maxParallelTasksPerJob': number(
    0,
    'tasks',
    0,
    100_000,
    'Copy tasks of one restore at work at once; 0: no limit of its own.',
  ),
  'dataCoord.copySegment.priority': text(
    'normal',
    'high: restores get free slots before flushes, index builds and compactions; normal: they take turns; low: only what these leave, and the reserved share.',
    { oneOf: ['high', 'normal', 'low'] },
  ),
  'dataCoord.copySegment.reservedShare': number(
    0.25,
    '',
    0,
    0.9,
    "Part of a data node's slots that only restores may use.",
  ),
  'dataNode.copySegment.filesPerTask': number(32, 'files', 1, 1024, 'Files of one copy task copied at once.'),
  'dataNode.copySegment.filesAtOnce': number(
    64,
    'files',
    1,
    4096,
    'Files copied at once by all copy tasks of a data node.',
  ),
  'dataNode.copySegment.bandwidthLimit': number(
    0,
    'MB/s',
    0,
    100_000,
    'Most bytes a data node writes for restores in a second; 0: no limit. Links and clones cost nothing.',
  ),
  'dataCoord.snapshot.maxCompactionProtectionSeconds': number(
    604_800,
    's',
    0,
    604_800,
    'Longest compaction protection.',
  ),
  'dataCoord.snapshot.refIndexLoadInterval': number(
    60,
    's',
    0.1,
    86_400,
    'How often references of snapshots that could not be read are tried again.',
  ),
  'dataCoord.snapshot.refIndexLoadTimeout': number(
    30,
    's',
    0.1,
    3600,
    "How long one read of a snapshot's references may take.",
  ),
  'snapshot.capture': text(
    'acknowledged',
    'What a snapshot holds: every write acknowledged before the call (it flushes them), or, as Milvus 3.0, only what is flushed when it is called.',
    { oneOf: ['acknowledged', 'flushed'] },
  ),
  'dataCoord.snapshot.pendingTimeout': number(
    60,
    'min',
    1,
    10_080,
    'A snapshot that takes longer to create is reported as a problem.',
  ),
  'dataCoord.gc.interval': number(3600, 's', 1, 604_800, 'Time between two garbage collections.'),
  'dataCoord.gc.dropTolerance': number(
    10_800,
    's',
    0,
    604_800,
    'Files of dropped segments are kept this long.',
  ),
  'dataCoord.gc.missingTolerance': number(
    86_400,
    's',
    0,
    2_592_000,
    'Objects that no record tells of, and half-written ones, are kept this long.',
  ),
  'dataNode.slots': number(4, 'tasks', 1, 64, 'Tasks the data node works on at once.'),
  'dataNode.threads': number(1, 'threads', 1, 64, 'Worker threads for flush and index building.'),
  'dataNode.index.threads': number(
    0,
    'threads',
    0,
    64,
    'Threads that build one index together; 0: as many as there are processor cores.',
  ),
  'queryNode.threads': number(2, 'threads', 1, 64, 'Worker threads for loading and large scans.'),
  'queryNode.memoryLimit': number(16_384, 'MB', 64, 1_048_576, 'Vectors and indexes of loaded collections.'),
} as const satisfies Record<string, Option<number> | Option<string>>;

export type OptionName = keyof typeof options;
type Widen<T> = T extends number ? number : string;
export type Config = { readonly [K in OptionName]: Widen<(typeof options)[K]['value']> };

export interface OptionEntry {
  readonly name: OptionName;
  readonly environment: string;
  readonly option: Option<number> | Option<string>;
}

export const optionEntries: readonly OptionEntry[] = (Object.keys(options) as OptionName[]).map((name) => ({
  name,
  environment: `TIDEMARK_${name.replaceAll('.', '_').toUpperCase()}`,
  option: options[name],
}));
