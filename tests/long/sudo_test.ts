import assert from "node:assert/strict";
import { inFreshRoot, leftBehind, readmeCommand, WATCH } from "../fresh/support/fresh_root.ts";

/** Runs the rest of the script's words as the user joe, who is made, in a copy of the project of joe's own. */
const AS_JOE = `
useradd --create-home --shell /bin/sh joe
cp --recursive . /home/joe/project && chown --recursive joe: /home/joe
cd /home/joe/project
as_joe() { setpriv --reuid=joe --regid=joe --init-groups env HOME=/home/joe PATH=/usr/local/bin:/usr/bin:/bin "$@"; }
`;

Deno.test("a sudo that wants a password asks for it at the terminal, once, and the demo passes", async () => {
  const { code, output } = await inFreshRoot(
    { suite: "bookworm", packages: ["sudo"] },
    `${AS_JOE}
    echo joe:secret1 | chpasswd; echo 'joe ALL=(ALL) ALL' >/etc/sudoers.d/joe
    mkfifo /tmp/keyboard
    touch /tmp/screen && chown joe: /tmp/screen
    as_joe script --quiet --return --flush --command '${await readmeCommand(
      "task demo",
    )}' /tmp/screen </tmp/keyboard &
    exec 3>/tmp/keyboard
    tries=0
    until grep --quiet 'password for joe' /tmp/screen; do
      tries=$((tries + 1)); [ $tries -lt 600 ] || exit 99
      sleep 0.1
    done
    echo secret1 >&3
    wait $!`,
  );
  assert.equal(code, 0);
  assert.equal(output.match(/^\[sudo\] password for joe/gm)?.length, 1);
  assert.match(output, /^Done: a VM was created/m);
});

Deno.test("a user without sudo is told what to install, and by whom, and nothing is changed", async () => {
  const { code, output } = await inFreshRoot(
    { suite: "bookworm" },
    `${AS_JOE} ${WATCH} as_joe ${await readmeCommand("task demo")}; code=$?; left_alone; exit $code`,
  );
  assert.equal(code, 1);
  assert.match(output, /^ {2}apt-get install --no-install-recommends .*syslinux-common/m);
  assert.deepEqual(leftBehind(output).filter((line) => !line.startsWith("FOREIGN ")), []);
});
