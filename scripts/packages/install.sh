#!/bin/sh
# Installs Debian packages, as root, without their services: none is started now, and none at the machine's next boot.
#
#     install.sh PACKAGE…    installs them, and first settles what an earlier run left that was cut off
#     install.sh             only settles
#
# What is not finished stands in $record, which is written before anything is changed: a run that was cut off at any point,
# even by a power failure, is finished by the next. It ignores Ctrl-C, since dpkg must not be stopped half-way.
set -eu
trap '' INT TERM HUP

record=/var/lib/misc/virtxd-installing # names of packages that were not there before; their services are to be disabled
policy=/usr/sbin/policy-rc.d           # see invoke-rc.d(8)
mark="# Of virtxd's package installer"

exec 9>/run/lock/virtxd-packages # one at a time
flock 9

apt_install() {
  apt-get --yes --quiet --option=DPkg::Lock::Timeout=120 --option=Acquire::Retries=3 \
    install --no-install-recommends "$@"
}

# Asks Debian's package scripts to start nothing, unless the machine has a policy of its own. Ours means nothing once this
# process has ended, so it does no harm should it be left behind.
forbid_services() {
  [ ! -e "$policy" ] || grep --quiet "$mark" "$policy" || return 0
  printf '#!/bin/sh\n%s: no service starts while it runs.\n[ ! -d /proc/%s ] || exit 101\n' "$mark" "$$" >"$policy.new"
  chmod 755 "$policy.new"
  mv "$policy.new" "$policy"
}

allow_services() {
  ! grep --quiet --no-messages "$mark" "$policy" || rm --force "$policy"
}

files_of_recorded() {
  while read -r package; do dpkg-query --listfiles "$package" 2>/dev/null || true; done <"$record"
}

# Takes the links away by which systemd and sysv-rc start the services of the recorded packages.
disable_services() {
  files_of_recorded | sed -nE 's#^(/usr)?/lib/systemd/system/([^/]+\.(service|socket|timer|path|target))$#\2#p' |
    while read -r unit; do
      [ ! -d /etc/systemd/system ] || find /etc/systemd/system -type l -lname "*/$unit" -delete
    done
  files_of_recorded | sed -n 's#^/etc/init\.d/\([^/]*\)$#\1#p' |
    while read -r script; do update-rc.d "$script" disable; done
  [ ! -d /run/systemd/system ] || systemctl daemon-reload
}

# Finishes what stands in the record. What could not be configured stays there, and so do the services that it may bring.
settle() {
  forbid_services
  code=0
  "$@" || code=$?
  disable_services
  allow_services
  [ "$code" != 0 ] || rm --force "$record"
  return "$code"
}

# The packages that would be new; what would only be upgraded has its old version in brackets.
would_install() {
  apt_install --simulate "$@" | sed -nE 's/^Inst ([^ ]+) \(.*/\1/p'
}

[ ! -e "$record" ] || settle dpkg --configure -a
[ $# -gt 0 ] || exit 0
would_install "$@" >"$record.new"
sync "$record.new"
mv "$record.new" "$record"
settle apt_install "$@"
