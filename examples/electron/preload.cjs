/** What the window may ask of the main process, and nothing else. */
const { contextBridge, ipcRenderer } = require("electron");

contextBridge.exposeInMainWorld("cellsam", {
  train: (/** @type {unknown} */ config) => ipcRenderer.invoke("train", config),
  stop: () => ipcRenderer.invoke("stop"),
  onEpoch: (/** @type {(event: unknown) => void} */ tell) => ipcRenderer.on("epoch", (_, event) => tell(event)),
});
