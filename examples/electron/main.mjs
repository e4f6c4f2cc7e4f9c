/**
 * A sketch of an Electron application: training runs in the main process, whose event loop stays free, and the window hears of
 * it. Node-API binaries work in Electron as they are. Keep the package out of the asar archive (asarUnpack: node_modules/
 * cellsam-train), since libraries are opened from real files.
 */
import { fileURLToPath } from "node:url";
import { train } from "cellsam-train";
import { app, BrowserWindow, ipcMain } from "electron";

await app.whenReady();
const window = new BrowserWindow({
  webPreferences: { preload: fileURLToPath(new URL("preload.cjs", import.meta.url)), contextIsolation: true },
});
await window.loadFile(fileURLToPath(new URL("window.html", import.meta.url)));

/** @type {ReturnType<typeof train> | undefined} */
let training;
ipcMain.handle("train", async (_, /** @type {Parameters<typeof train>[0]} */ config) => {
  if (training) throw new Error("a training is running already");
  training = train(config, { overwrite: true });
  try {
    for await (const event of training) {
      if (event.type === "epoch" && !window.isDestroyed()) window.webContents.send("epoch", event);
    }
    return await training.results;
  } finally {
    training = undefined;
  }
});
ipcMain.handle("stop", () => training?.stop(new Error("stopped by the user")));

// A window that closes must not take half an epoch with it: the step is finished and saved first.
app.on("before-quit", (event) => {
  if (!training) return;
  event.preventDefault();
  training.stop(new Error("the application quits")).then(() => app.quit());
});
