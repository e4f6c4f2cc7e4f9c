// Fails the run at a warning of Node.js: a handle that is left open, a deprecated call, a leak of listeners.
process.on("warning", (warning) => {
  if (warning.name !== "ExperimentalWarning") throw warning;
});
