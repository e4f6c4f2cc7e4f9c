/** What examples/electron uses of electron, which is not installed here: it would fetch a whole browser. */
declare module "electron" {
  export interface IpcEvent {
    preventDefault(): void;
  }
  export class BrowserWindow {
    constructor(options: { webPreferences: { preload: string; contextIsolation: boolean } });
    loadFile(path: string): Promise<void>;
    isDestroyed(): boolean;
    readonly webContents: { send(channel: string, message: unknown): void };
  }
  export const app: {
    whenReady(): Promise<void>;
    on(event: "before-quit", listener: (event: IpcEvent) => void): void;
    quit(): void;
  };
  export const ipcMain: { handle(channel: string, handler: (event: IpcEvent, argument: never) => unknown): void };
  export const ipcRenderer: {
    invoke(channel: string, argument?: unknown): Promise<unknown>;
    on(channel: string, listener: (event: IpcEvent, message: unknown) => void): void;
  };
  export const contextBridge: { exposeInMainWorld(name: string, api: Record<string, unknown>): void };
}
