/** The commands by which Python 3 may be called on this machine; the variable PYTHON chooses one. */

/** A program and the arguments that make it Python 3. */
export type PythonCommand = readonly [program: string, ...arguments_: string[]];

/** Best first. Which of them are there is for the caller to find out. */
export function pythonCommands(env: NodeJS.ProcessEnv = process.env, platform = process.platform): PythonCommand[] {
  if (env.PYTHON) return [[env.PYTHON]];
  // On Windows python3 is mostly a placeholder that opens the Store; py comes with python.org's installer, which keeps off the
  // PATH.
  return platform === "win32" ? [["python"], ["py", "-3"]] : [["python3"], ["python"]];
}

/**
 * Whether a call failed because there is no such program. 9009 is the exit code of the placeholder on Windows and of its shell.
 */
export function isNoPython(error: unknown): boolean {
  const { code, status } = error as { code?: unknown; status?: unknown };
  return code === "ENOENT" || code === 9009 || status === 9009;
}
