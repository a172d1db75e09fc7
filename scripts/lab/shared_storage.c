/*
 * Preloaded into a lab's libvirtd, this makes /vms look like what it is in production. Before a migration libvirt asks the
 * kernel whether the disks are on a file system that other hosts see too, and refuses if not. The lab's hosts do share
 * /vms, but as a directory of one machine, of whatever file system that has; so the answer for /vms is: NFS.
 */

void *dlsym(void *handle, const char *name);
int strncmp(const char *a, const char *b, unsigned long length);

#define NEXT ((void *)-1)
#define NFS 0x6969

/* The first member of struct statfs64 is the file system's magic number. */
int statfs64(const char *path, long *status) {
  int (*real)(const char *, long *) = dlsym(NEXT, "statfs64");
  int result = real(path, status);
  if (result == 0 && strncmp(path, "/vms/", 5) == 0) *status = NFS;
  return result;
}
