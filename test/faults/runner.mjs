/**
 * Runs one command of cellsam after another in this process, since most take less time than Node.js and libtorch take to start. Gets
 * the arguments as a message, and answers with how the command ended.
 */
const cellsam = new URL("../../dist/cli/main.js", import.meta.url);

let stderr = "";
for (const name of /** @type {const} */ (["stdout", "stderr"])) {
  process[name].setMaxListeners(0); // every command adds one
  process[name].write = (/** @type {string | Uint8Array} */ text, /** @type {unknown[]} */ ...rest) => {
    if (name === "stderr") stderr += text;
    for (const done of rest) if (typeof done === "function") done();
    return true;
  };
}

let calls = 0;
process.on("message", async (/** @type {string[]} */ args) => {
  stderr = "";
  process.exitCode = 0;
  process.argv.splice(2, process.argv.length, ...args);
  calls += 1;
  await import(`${cellsam}?${calls}`); // each time anew
  process.send?.({ code: process.exitCode, signal: null, stderr });
});
