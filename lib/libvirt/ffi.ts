import { errorMessage, VirtxError } from "../model/error.ts";

/**
 * libvirt's C functions as virtxd uses them, each below its prototype (libvirt/libvirt-host.h, -domain.h, -event.h,
 * -stream.h, virterror.h). What may wait for libvirtd or for the event loop is `nonblocking`: it runs on a thread of Deno's pool
 * and resolves later. Synchronous are only functions that read or free memory of ours.
 *
 * The types are those of LP64, that is x86_64 and aarch64: C `long` has 64 bits, `unsigned int` 32, enums are `int`.
 * Everything here exists in libvirt 9.0; a function that is newer gets `optional: true` and is null where missing.
 */
const SYMBOLS = {
  // void virSetErrorFunc(void *userData, virErrorFunc handler);
  virSetErrorFunc: { parameters: ["pointer", "function"], result: "void" },
  // void virConnSetErrorFunc(virConnectPtr conn, void *userData, virErrorFunc handler);
  virConnSetErrorFunc: { parameters: ["pointer", "pointer", "pointer"], result: "void" },
  // int virConnCopyLastError(virConnectPtr conn, virErrorPtr to);
  virConnCopyLastError: { parameters: ["pointer", "buffer"], result: "i32" },
  // void virConnResetLastError(virConnectPtr conn);
  virConnResetLastError: { parameters: ["pointer"], result: "void" },
  // void virResetError(virErrorPtr err);
  virResetError: { parameters: ["buffer"], result: "void" },

  // int virEventRegisterDefaultImpl(void);
  virEventRegisterDefaultImpl: { parameters: [], result: "i32" },
  // int virEventRunDefaultImpl(void);
  virEventRunDefaultImpl: { parameters: [], result: "i32", nonblocking: true },
  // int virEventAddTimeout(int frequency, virEventTimeoutCallback cb, void *opaque, virFreeCallback ff);
  virEventAddTimeout: { parameters: ["i32", "function", "pointer", "pointer"], result: "i32" },
  // void virEventUpdateTimeout(int timer, int frequency);
  virEventUpdateTimeout: { parameters: ["i32", "i32"], result: "void" },
  // int virEventRemoveTimeout(int timer);
  virEventRemoveTimeout: { parameters: ["i32"], result: "i32" },

  // virConnectPtr virConnectOpen(const char *name);
  virConnectOpen: { parameters: ["buffer"], result: "pointer", nonblocking: true },
  // virConnectPtr virConnectOpenAuth(const char *name, virConnectAuthPtr auth, unsigned int flags);
  virConnectOpenAuth: { parameters: ["buffer", "buffer", "u32"], result: "pointer", nonblocking: true },
  // int virConnectRef(virConnectPtr conn);
  virConnectRef: { parameters: ["pointer"], result: "i32" },
  // int virConnectClose(virConnectPtr conn);
  virConnectClose: { parameters: ["pointer"], result: "i32", nonblocking: true },
  // int virConnectIsAlive(virConnectPtr conn);
  virConnectIsAlive: { parameters: ["pointer"], result: "i32", nonblocking: true },
  // int virConnectSetKeepAlive(virConnectPtr conn, int interval, unsigned int count);
  virConnectSetKeepAlive: { parameters: ["pointer", "i32", "u32"], result: "i32", nonblocking: true },
  // int virConnectRegisterCloseCallback(virConnectPtr conn, virConnectCloseFunc cb, void *opaque, virFreeCallback freecb);
  virConnectRegisterCloseCallback: {
    parameters: ["pointer", "function", "pointer", "pointer"],
    result: "i32",
    nonblocking: true,
  },
  // int virConnectUnregisterCloseCallback(virConnectPtr conn, virConnectCloseFunc cb);
  virConnectUnregisterCloseCallback: {
    parameters: ["pointer", "function"],
    result: "i32",
    nonblocking: true,
  },
  // int virConnectDomainEventRegisterAny(virConnectPtr conn, virDomainPtr dom, int eventID,
  //     virConnectDomainEventGenericCallback cb, void *opaque, virFreeCallback freecb);
  virConnectDomainEventRegisterAny: {
    parameters: ["pointer", "pointer", "i32", "function", "pointer", "pointer"],
    result: "i32",
    nonblocking: true,
  },
  // int virConnectDomainEventDeregisterAny(virConnectPtr conn, int callbackID);
  virConnectDomainEventDeregisterAny: { parameters: ["pointer", "i32"], result: "i32", nonblocking: true },

  // const char *virConnectGetType(virConnectPtr conn);
  virConnectGetType: { parameters: ["pointer"], result: "pointer", nonblocking: true },
  // int virConnectGetVersion(virConnectPtr conn, unsigned long *hvVer);
  virConnectGetVersion: { parameters: ["pointer", "buffer"], result: "i32", nonblocking: true },
  // int virConnectGetLibVersion(virConnectPtr conn, unsigned long *libVer);
  virConnectGetLibVersion: { parameters: ["pointer", "buffer"], result: "i32", nonblocking: true },
  // char *virConnectGetHostname(virConnectPtr conn);
  virConnectGetHostname: { parameters: ["pointer"], result: "pointer", nonblocking: true },
  // char *virConnectGetCapabilities(virConnectPtr conn);
  virConnectGetCapabilities: { parameters: ["pointer"], result: "pointer", nonblocking: true },
  // char *virConnectGetDomainCapabilities(virConnectPtr conn, const char *emulatorbin, const char *arch,
  //     const char *machine, const char *virttype, unsigned int flags);
  virConnectGetDomainCapabilities: {
    parameters: ["pointer", "buffer", "buffer", "buffer", "buffer", "u32"],
    result: "pointer",
    nonblocking: true,
  },
  // char *virConnectGetSysinfo(virConnectPtr conn, unsigned int flags);
  virConnectGetSysinfo: { parameters: ["pointer", "u32"], result: "pointer", nonblocking: true },
  // int virNodeGetInfo(virConnectPtr conn, virNodeInfoPtr info);
  virNodeGetInfo: { parameters: ["pointer", "buffer"], result: "i32", nonblocking: true },
  // int virConnectCompareHypervisorCPU(virConnectPtr conn, const char *emulator, const char *arch,
  //     const char *machine, const char *virttype, const char *xmlCPU, unsigned int flags);
  virConnectCompareHypervisorCPU: {
    parameters: ["pointer", "buffer", "buffer", "buffer", "buffer", "buffer", "u32"],
    result: "i32",
    nonblocking: true,
  },
  // int virConnectListAllNetworks(virConnectPtr conn, virNetworkPtr **nets, unsigned int flags);
  virConnectListAllNetworks: { parameters: ["pointer", "buffer", "u32"], result: "i32", nonblocking: true },
  // const char *virNetworkGetName(virNetworkPtr network);
  virNetworkGetName: { parameters: ["pointer"], result: "pointer" },
  // int virNetworkFree(virNetworkPtr network);
  virNetworkFree: { parameters: ["pointer"], result: "i32" },

  // int virConnectListAllDomains(virConnectPtr conn, virDomainPtr **domains, unsigned int flags);
  virConnectListAllDomains: { parameters: ["pointer", "buffer", "u32"], result: "i32", nonblocking: true },
  // int virConnectGetAllDomainStats(virConnectPtr conn, unsigned int stats, virDomainStatsRecordPtr **retStats,
  //     unsigned int flags);
  virConnectGetAllDomainStats: {
    parameters: ["pointer", "u32", "buffer", "u32"],
    result: "i32",
    nonblocking: true,
  },
  // void virDomainStatsRecordListFree(virDomainStatsRecordPtr *stats);
  virDomainStatsRecordListFree: { parameters: ["pointer"], result: "void", nonblocking: true },

  // virDomainPtr virDomainLookupByUUID(virConnectPtr conn, const unsigned char *uuid);
  virDomainLookupByUUID: { parameters: ["pointer", "buffer"], result: "pointer", nonblocking: true },
  // virDomainPtr virDomainDefineXMLFlags(virConnectPtr conn, const char *xml, unsigned int flags);
  virDomainDefineXMLFlags: { parameters: ["pointer", "buffer", "u32"], result: "pointer", nonblocking: true },
  // int virDomainUndefineFlags(virDomainPtr domain, unsigned int flags);
  virDomainUndefineFlags: { parameters: ["pointer", "u32"], result: "i32", nonblocking: true },
  // int virDomainFree(virDomainPtr domain);
  virDomainFree: { parameters: ["pointer"], result: "i32" },
  // int virDomainGetUUID(virDomainPtr domain, unsigned char *uuid);
  virDomainGetUUID: { parameters: ["pointer", "buffer"], result: "i32" },
  // const char *virDomainGetName(virDomainPtr domain);
  virDomainGetName: { parameters: ["pointer"], result: "pointer" },
  // char *virDomainGetXMLDesc(virDomainPtr domain, unsigned int flags);
  virDomainGetXMLDesc: { parameters: ["pointer", "u32"], result: "pointer", nonblocking: true },
  // int virDomainGetState(virDomainPtr domain, int *state, int *reason, unsigned int flags);
  virDomainGetState: { parameters: ["pointer", "buffer", "buffer", "u32"], result: "i32", nonblocking: true },
  // char *virDomainGetMetadata(virDomainPtr domain, int type, const char *uri, unsigned int flags);
  virDomainGetMetadata: {
    parameters: ["pointer", "i32", "buffer", "u32"],
    result: "pointer",
    nonblocking: true,
  },
  // int virDomainGetInfo(virDomainPtr domain, virDomainInfoPtr info);
  virDomainGetInfo: { parameters: ["pointer", "buffer"], result: "i32", nonblocking: true },
  // int virDomainGetControlInfo(virDomainPtr domain, virDomainControlInfoPtr info, unsigned int flags);
  virDomainGetControlInfo: { parameters: ["pointer", "buffer", "u32"], result: "i32", nonblocking: true },
  // int virDomainIsActive(virDomainPtr dom);
  virDomainIsActive: { parameters: ["pointer"], result: "i32", nonblocking: true },
  // int virDomainCreateWithFlags(virDomainPtr domain, unsigned int flags);
  virDomainCreateWithFlags: { parameters: ["pointer", "u32"], result: "i32", nonblocking: true },
  // int virDomainShutdownFlags(virDomainPtr domain, unsigned int flags);
  virDomainShutdownFlags: { parameters: ["pointer", "u32"], result: "i32", nonblocking: true },
  // int virDomainDestroyFlags(virDomainPtr domain, unsigned int flags);
  virDomainDestroyFlags: { parameters: ["pointer", "u32"], result: "i32", nonblocking: true },
  // int virDomainSuspend(virDomainPtr domain);
  virDomainSuspend: { parameters: ["pointer"], result: "i32", nonblocking: true },
  // int virDomainResume(virDomainPtr domain);
  virDomainResume: { parameters: ["pointer"], result: "i32", nonblocking: true },
  // int virDomainGetAutostart(virDomainPtr domain, int *autostart);
  virDomainGetAutostart: { parameters: ["pointer", "buffer"], result: "i32", nonblocking: true },
  // int virDomainSetAutostart(virDomainPtr domain, int autostart);
  virDomainSetAutostart: { parameters: ["pointer", "i32"], result: "i32", nonblocking: true },
  // int virDomainHasManagedSaveImage(virDomainPtr dom, unsigned int flags);
  virDomainHasManagedSaveImage: { parameters: ["pointer", "u32"], result: "i32", nonblocking: true },
  // int virDomainSnapshotNum(virDomainPtr domain, unsigned int flags);
  virDomainSnapshotNum: { parameters: ["pointer", "u32"], result: "i32", nonblocking: true },
  // int virDomainListAllCheckpoints(virDomainPtr domain, virDomainCheckpointPtr **checkpoints, unsigned int flags);
  virDomainListAllCheckpoints: {
    parameters: ["pointer", "pointer", "u32"],
    result: "i32",
    nonblocking: true,
  },
  // int virDomainAttachDeviceFlags(virDomainPtr domain, const char *xml, unsigned int flags);
  virDomainAttachDeviceFlags: { parameters: ["pointer", "buffer", "u32"], result: "i32", nonblocking: true },
  // int virDomainDetachDeviceFlags(virDomainPtr domain, const char *xml, unsigned int flags);
  virDomainDetachDeviceFlags: { parameters: ["pointer", "buffer", "u32"], result: "i32", nonblocking: true },
  // int virDomainSetMetadata(virDomainPtr domain, int type, const char *metadata, const char *key, const char *uri,
  //     unsigned int flags);
  virDomainSetMetadata: {
    parameters: ["pointer", "i32", "buffer", "buffer", "buffer", "u32"],
    result: "i32",
    nonblocking: true,
  },

  // int virDomainMigrateToURI3(virDomainPtr domain, const char *dconnuri, virTypedParameterPtr params,
  //     unsigned int nparams, unsigned int flags);
  virDomainMigrateToURI3: {
    parameters: ["pointer", "buffer", "buffer", "u32", "u32"],
    result: "i32",
    nonblocking: true,
  },
  // int virDomainMigrateSetMaxDowntime(virDomainPtr domain, unsigned long long downtime, unsigned int flags);
  virDomainMigrateSetMaxDowntime: { parameters: ["pointer", "u64", "u32"], result: "i32", nonblocking: true },
  // int virDomainMigrateStartPostCopy(virDomainPtr domain, unsigned int flags);
  virDomainMigrateStartPostCopy: { parameters: ["pointer", "u32"], result: "i32", nonblocking: true },
  // int virDomainAbortJob(virDomainPtr domain);
  virDomainAbortJob: { parameters: ["pointer"], result: "i32", nonblocking: true },
  // int virDomainGetJobStats(virDomainPtr domain, int *type, virTypedParameterPtr *params, int *nparams,
  //     unsigned int flags);
  virDomainGetJobStats: {
    parameters: ["pointer", "buffer", "buffer", "buffer", "u32"],
    result: "i32",
    nonblocking: true,
  },
  // void virTypedParamsFree(virTypedParameterPtr params, int nparams);
  virTypedParamsFree: { parameters: ["pointer", "i32"], result: "void" },

  // int virDomainOpenConsole(virDomainPtr dom, const char *dev_name, virStreamPtr st, unsigned int flags);
  virDomainOpenConsole: {
    parameters: ["pointer", "buffer", "pointer", "u32"],
    result: "i32",
    nonblocking: true,
  },
  // virStreamPtr virStreamNew(virConnectPtr conn, unsigned int flags);
  virStreamNew: { parameters: ["pointer", "u32"], result: "pointer" },
  // int virStreamRecv(virStreamPtr st, char *data, size_t nbytes); of a non-blocking stream: takes what has arrived, if
  // something has, and waits for nothing
  virStreamRecv: { parameters: ["pointer", "buffer", "usize"], result: "i32" },
  // int virStreamSend(virStreamPtr st, const char *data, size_t nbytes);
  virStreamSend: { parameters: ["pointer", "buffer", "usize"], result: "i32", nonblocking: true },
  // int virStreamEventAddCallback(virStreamPtr stream, int events, virStreamEventCallback cb, void *opaque,
  //     virFreeCallback ff);
  virStreamEventAddCallback: {
    parameters: ["pointer", "i32", "function", "pointer", "pointer"],
    result: "i32",
  },
  // int virStreamEventUpdateCallback(virStreamPtr stream, int events);
  virStreamEventUpdateCallback: { parameters: ["pointer", "i32"], result: "i32" },
  // int virStreamEventRemoveCallback(virStreamPtr stream);
  virStreamEventRemoveCallback: { parameters: ["pointer"], result: "i32" },
  // int virStreamAbort(virStreamPtr st);
  virStreamAbort: { parameters: ["pointer"], result: "i32", nonblocking: true },
  // int virStreamFree(virStreamPtr st);
  virStreamFree: { parameters: ["pointer"], result: "i32" },

  // void free(void *ptr); of libc, which libvirt brings along: for the strings and arrays that libvirt hands over
  free: { parameters: ["pointer"], result: "void" },
  // The same function as an error handler `void (*)(void *userData, virErrorPtr)` that does nothing: free(NULL)
  ignoreError: { name: "free", type: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The loaded library; `close()` when nothing of it runs any more. */
export type LibvirtLibrary = Deno.DynamicLibrary<typeof SYMBOLS>;

/** libvirt's functions. */
export type Libvirt = LibvirtLibrary["symbols"];

/** Where distributions keep the library: Debian's multiarch directory, Fedora's and SUSE's lib64, others' lib. */
export const LIBVIRT_PATHS: readonly string[] = [
  `/usr/lib/${Deno.build.arch}-linux-gnu/libvirt.so.0`,
  "/usr/lib64/libvirt.so.0",
  "/usr/lib/libvirt.so.0",
];

/**
 * Loads libvirt from the first of the paths that has it. Full paths, so that neither the working directory nor the
 * environment decides what is loaded.
 *
 * @throws VirtxError `unavailable` that names what was tried.
 */
export function loadLibvirt(paths: readonly string[] = LIBVIRT_PATHS): LibvirtLibrary {
  const failures: string[] = [];
  for (const path of paths) {
    try {
      return Deno.dlopen(path, SYMBOLS);
    } catch (error) {
      failures.push(errorMessage(error));
    }
  }
  throw new VirtxError(
    "unavailable",
    `Cannot load libvirt's client library (Debian: package libvirt0): ${failures.join("; ")}`,
  );
}
