import assert from "node:assert/strict";
import { inFreshRoot, leftBehind, readmeCommand, WATCH } from "../fresh/support/fresh_root.ts";

/** Starts the demo, and waits until it installs packages; its output goes to a file. */
const UNTIL_IT_INSTALLS = (demo: string) => `
setsid ${demo} >/tmp/demo 2>&1 & demo=$!
tries=0
while [ ! -e /var/lib/misc/virtxd-installing ]; do
  tries=$((tries + 1)); [ $tries -lt 1200 ] || { cat /tmp/demo; exit 99; }
  sleep 0.1
done
`;

for (const suite of ["bookworm", "trixie"] as const) {
  Deno.test(`on ${suite} Ctrl-C while packages install leaves neither a service nor a half-done installation`, async () => {
    const { code, output } = await inFreshRoot(
      { suite },
      `${WATCH} ${UNTIL_IT_INSTALLS(await readmeCommand("task demo"))}
      kill -INT -$demo; wait $demo; echo "the demo ended with $?"
      left_alone; dpkg --audit; cat /tmp/demo`,
    );
    assert.equal(code, 0);
    assert.match(output, /^the demo ended with (130|1)$/m);
    assert.deepEqual(leftBehind(output), []);
    assert.doesNotMatch(output, /^Done: /m);
  });

  Deno.test(`on ${suite} an installation that was killed is finished by the next run, which enables nothing`, async () => {
    const demo = await readmeCommand("task demo");
    const { code, output } = await inFreshRoot(
      { suite },
      `${WATCH} ${UNTIL_IT_INSTALLS(demo)}
      installer=$(sed -n 's#.*/proc/\\([0-9]*\\).*#\\1#p' /usr/sbin/policy-rc.d)
      until [ "$(dpkg-query --show --showformat '\${db:Status-Status}' serf)" = installed ]; do sleep 0.05; done
      kill -KILL "$installer" -$demo; echo "killed $installer"; wait $demo
      services | diff /tmp/services - | sed -n 's/^>/BEFORE/p'
      ${demo}; code=$?; left_alone; dpkg --audit; exit $code`,
    );
    assert.equal(code, 0);
    assert.match(output, /^killed \d+$/m);
    assert.match(output, /^ {2}Finish an installation of Debian packages that was cut off/m);
    assert.match(output, /^BEFORE .*serf/m, "the killed run had not disabled it yet");
    assert.deepEqual(leftBehind(output), []);
  });
}
