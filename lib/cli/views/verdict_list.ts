import type { MigrationVerdict } from "../../model/vm.ts";
import type { View } from "../output/printer.ts";

/** What hosts say to taking a VM, as `vm migrate --dry-run` prints it. */
export const VERDICT_VIEW: View<MigrationVerdict> = {
  name: ({ name }) => name,
  columns: [
    { heading: "HOST", text: ({ name }) => name, least: 6 },
    { heading: "FITS", text: ({ fits }) => fits ? "yes" : "no", style: ({ fits }) => fits ? "green" : "red" },
    { heading: "LOAD", text: ({ fits, load }) => fits ? `${Math.round(load * 100)} %` : "-", right: true },
    {
      heading: "OBSTACLES",
      text: ({ obstacles }) =>
        obstacles.map(({ message, soft }) => soft ? `warning: ${message}` : message).join("; ") || "-",
      least: 20,
      wraps: true,
    },
  ],
  record: ({ host, name, fits, load, obstacles }) => ({ uuid: host, name, fits, load, obstacles }),
};
