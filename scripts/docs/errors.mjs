/** Makes docs/errors.md of the list in lib/errors.ts. */
import { listedCodes } from "../check/errorCodes.mjs";
import { root } from "../ready.mjs";

/** The text of docs/errors.md. */
export function errors() {
  const codes = listedCodes(root);
  const sections = [...new Set(codes.map(({ section }) => section))].map((section) => {
    const rows = codes
      .filter((code) => code.section === section)
      .map(({ code, meaning }) => `| \`${code}\` | ${meaning.replaceAll("|", "\\|")} |`);
    return `## ${section}\n\n| code | when |\n|---|---|\n${rows.join("\n")}\n`;
  });
  return `# Error codes

Made from \`lib/errors.ts\` (\`npm run docs\`). Every error of the package is a \`CellsamError\` with one of these codes, a message that says what to do, and a
\`detail\` with the facts of the case. [Faults](faults.md) says what happens then, and which exit code the command line returns.

${sections.join("\n")}`;
}
