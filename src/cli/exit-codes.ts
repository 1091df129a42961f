/** What scripts compare; docs/cli.md says the same. */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  /** `snapshot verify` and `snapshot describe`: the snapshot is damaged. `restore start --dry-run`: objects are missing or have another size. `restore drill`: the copy differs. */
  damaged: 3,
  /** `snapshot diff`: they differ. */
  different: 4,
  interrupted: 130,
  /** Whoever read the output went away, as with `| head`. */
  unread: 141,
} as const;

/** What was typed wrong, in an argument, a flag, the file or the environment. */
export class UsageError extends Error {}
