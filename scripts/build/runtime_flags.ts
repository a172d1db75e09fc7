/** What the executable may do and how much memory it takes, as flags of Deno; the same in both of its forms. */
export const RUNTIME_FLAGS: readonly string[] = [
  // FFI could get around the other limits: they are no wall against our own code but against what it could be tricked
  // into. Libraries cannot be named, as reading through any pointer takes the whole permission (denoland/deno#15511).
  "--no-prompt",
  "--allow-ffi",
  "--allow-net", // listens where the configuration says
  "--allow-read", // disks by path, the configuration wherever it is; /proc, /sys and /dev stay closed
  // nvram: UEFI variables that move to /vms
  "--allow-write=/vms,/run/virtxd,/var/lib/virtxd,/var/lib/libvirt/qemu/nvram",
  "--allow-run=/usr/bin/qemu-img",
  // A request's signal aborts when its client goes away, rather than at the end of each answer: what is passed on to another
  // host is given up by it. Without the flag Deno prints a warning into the log at the first of them.
  "--unstable-no-legacy-abort",
  "--allow-env", // all of it, because finding a misspelt VIRTXD_ variable takes the list of all
  // V8 lets what is young grow to 16 MiB before it looks for garbage. With a quarter of it the daemon stays some 30 MB
  // smaller; a list of 1,000 VMs costs as much CPU as before (with an eighth it would cost 40 % more).
  // The daemon collects once itself, when it has started.
  "--v8-flags=--max-semi-space-size=4,--expose-gc",
];
