/** Checks names of folders by system: Linux and macOS forbid slashes only, Windows more. */

/** Names of devices, which Windows reserves in every folder and with any extension. */
const devices = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;

/** What is wrong with a name for a file or folder, as the end of a sentence; null when nothing is. */
export function nameProblem(name: string, platform: NodeJS.Platform = process.platform): string | null {
  if (platform !== "win32") return null;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are forbidden
  const forbidden = /[<>:"|?*\u0000-\u001f]/.exec(name)?.[0];
  if (forbidden) return `must be a name that Windows allows, without ${JSON.stringify(forbidden)}`;
  if (devices.test(name)) return "must be a name that Windows allows: this one means a device";
  if (/[. ]$/.test(name)) return "must be a name that Windows allows: it drops a dot or a space at the end";
  return null;
}
