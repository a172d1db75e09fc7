/** libvirt's enumerations, as far as virtxd uses them, with libvirt's numbers and the name of the C type. */

/** virErrorNumber */
export const ErrorCode = {
  internalError: 1,
  noSupport: 3,
  noConnect: 5,
  invalidArg: 8,
  operationFailed: 9,
  systemError: 38,
  rpc: 39,
  noDomain: 42,
  operationUnsupported: 84,
  operationInvalid: 55,
  operationTimeout: 68,
  argumentUnsupported: 74,
  operationAborted: 78,
  noDomainMetadata: 80,
  cpuIncompatible: 91,
} as const;

/** virDomainState */
export const DomainState = {
  none: 0,
  running: 1,
  blocked: 2,
  paused: 3,
  shutdown: 4,
  shutoff: 5,
  crashed: 6,
  pmsuspended: 7,
} as const;

/** virDomainPausedReason and virDomainRunningReason, of domains that are not yet what they are to be. */
export const PausedReason = { migration: 2, startingUp: 11 } as const;
export const RunningReason = { postcopy: 10, postcopyFailed: 11 } as const;

/** virDomainControlState: a job that is asking QEMU is `occupied`, or `job` if it is part of a long one. */
export const ControlState = { ok: 0, job: 1, occupied: 2, error: 3 } as const;

/** virDomainEventType: what a lifecycle event tells */
export const LifecycleEvent = {
  defined: 0,
  undefined: 1,
  started: 2,
  suspended: 3,
  resumed: 4,
  stopped: 5,
  shutdown: 6,
  pmsuspended: 7,
  crashed: 8,
} as const;

/** virDomainEventID: what can be subscribed to */
export const EventId = {
  lifecycle: 0,
  reboot: 1,
  /** Names the disk by its target (vda) rather than by its path. */
  blockJob2: 16,
  migrationIteration: 20,
  jobCompleted: 21,
  metadataChange: 23,
} as const;

/** virConnectCloseReason */
export const CloseReason = { error: 0, eof: 1, keepalive: 2, client: 3 } as const;

/** virDomainMetadataType */
export const MetadataType = { description: 0, title: 1, element: 2 } as const;

/** virDomainModificationImpact */
export const Affect = { live: 1 << 0, config: 1 << 1 } as const;

/** virDomainXMLFlags */
export const XmlFlag = { secure: 1 << 0, inactive: 1 << 1, updateCpu: 1 << 2, migratable: 1 << 3 } as const;

/** virDomainDefineFlags */
export const DefineFlag = { validate: 1 << 0 } as const;

/** virDomainUndefineFlagsValues */
export const UndefineFlag = {
  managedSave: 1 << 0,
  snapshotsMetadata: 1 << 1,
  nvram: 1 << 2,
  keepNvram: 1 << 3,
  checkpointsMetadata: 1 << 4,
  /** Since libvirt 8.9. */
  tpm: 1 << 5,
  keepTpm: 1 << 6,
} as const;

/** virDomainShutdownFlagValues */
export const ShutdownFlag = { acpiPowerButton: 1 << 0 } as const;

/** virDomainDestroyFlagsValues: graceful ends QEMU by SIGTERM only. */
export const DestroyFlag = { graceful: 1 << 0 } as const;

/** virDomainMigrateFlags */
export const MigrateFlag = {
  live: 1 << 0,
  peer2peer: 1 << 1,
  persistDestination: 1 << 3,
  undefineSource: 1 << 4,
  paused: 1 << 5,
  offline: 1 << 10,
  abortOnError: 1 << 12,
  autoConverge: 1 << 13,
  postCopy: 1 << 15,
  parallel: 1 << 17,
  /** Since libvirt 8.5. */
  postCopyResume: 1 << 19,
} as const;

/** virDomainJobType: what is known of the end of a domain's job */
export const JobType = { none: 0, bounded: 1, unbounded: 2, completed: 3, failed: 4, cancelled: 5 } as const;

/** virDomainJobOperation: what a job is for */
export const JobOperation = {
  unknown: 0,
  start: 1,
  save: 2,
  restore: 3,
  migrationIn: 4,
  migrationOut: 5,
} as const;

/** virDomainGetJobStatsFlags: ask for the last job that has ended, and leave what is known of it there. */
export const JobStatsFlag = { completed: 1 << 0, keepCompleted: 1 << 1 } as const;

/** virCPUCompareResult: what the host's processor is, compared with another */
export const CpuCompareResult = { incompatible: 0, identical: 1, superset: 2 } as const;

/** virConnectCompareCPUFlags: tell incompatibility by an error, which says why. */
export const CompareCpuFlag = { failIncompatible: 1 << 0 } as const;

/** virConnectListAllNetworksFlags */
export const NetworkListFlag = { active: 1 << 1 } as const;

/** virConnectListAllDomainsFlags */
export const ListFlag = { persistent: 1 << 2, transient: 1 << 3 } as const;

/** virDomainStatsTypes */
export const StatsGroup = {
  state: 1 << 0,
  cpuTotal: 1 << 1,
  balloon: 1 << 2,
  interface: 1 << 4,
  block: 1 << 5,
} as const;

/** virConnectGetAllDomainStatsFlags: report only what needs no waiting for a busy or stuck QEMU. */
export const STATS_NOWAIT = 1 << 29;

/** virTypedParameterType */
export const TypedParameterType = {
  int: 1,
  uint: 2,
  llong: 3,
  ullong: 4,
  double: 5,
  boolean: 6,
  string: 7,
} as const;

/** virStreamFlags */
export const StreamFlag = { nonblock: 1 << 0 } as const;

/** virStreamEventType */
export const StreamEvent = { readable: 1 << 0, error: 1 << 2, hangup: 1 << 3 } as const;

/** virDomainConsoleFlags: force takes the console from who has it, safe keeps others off it. */
export const ConsoleFlag = { force: 1 << 0, safe: 1 << 1 } as const;
