/**
 * Writes Jobs for Kubernetes (1.29 or newer: backoffLimitPerIndex). A pod that is moved or stopped gets TERM, saves and exits with
 * 75, which is no failure: a new pod continues where it was.
 */
import { stringify } from "yaml";
import { packageVersion } from "../version.js";
import { type BatchCommand, isSharded } from "./words.js";

export interface KubernetesOptions {
  /** Name of the Job. Default "cellsam-COMMAND". */
  jobName?: string;
  /** Image with cellsam in its PATH. Default "cellsam-train:VERSION". */
  image?: string;
  /** PersistentVolumeClaim with data and output, which pods of several nodes may write to (ReadWriteMany). Default "cellsam-data". */
  claim?: string;
  /** Where it is mounted; relative paths start there. Default "/data". */
  mount?: string;
  /** GPUs of each process. Default 1; 0 is a pod without GPU. */
  gpus?: number;
  /** CPU cores of each process. Default 8. */
  cpus?: number;
  /** Memory of each process. Default "32Gi". */
  memory?: string;
  /** Folds and trials at a time, all in one pod; shards at a time, each a pod. Default 1; of shards all. */
  atOnce?: number;
  /** Into how many shards predict and evaluate are divided. Default 1. */
  shards?: number;
  /** Seconds that a pod has to save. Default 300. */
  warn?: number;
}

/** The manifest of `cellsam COMMAND WORDS` in YAML. */
export function kubernetesJob(command: BatchCommand, words: readonly string[], options: KubernetesOptions = {}): string {
  const { jobName = `cellsam-${command}`, image = `cellsam-train:${packageVersion}`, claim = "cellsam-data" } = options;
  const { mount = "/data", gpus = 1, cpus = 8, memory = "32Gi", shards = 1, warn = 300 } = options;
  const sharded = isSharded(command) && shards > 1;
  const inPod = isSharded(command) ? 1 : (options.atOnce ?? 1);
  const args = [command, ...words, "--resume"];
  if (sharded) args.push("--shard", `auto/${shards}`);
  if (inPod > 1) args.push("--max-parallel", String(inPod));
  if (inPod > 1 && gpus > 0) args.push("--devices", Array.from({ length: inPod }, (_, i) => `cuda:${i}`).join(","));
  const resources = { cpu: cpus * inPod, memory: times(memory, inPod), ...(gpus > 0 && { "nvidia.com/gpu": gpus * inPod }) };
  const container = {
    name: "cellsam",
    image,
    command: ["cellsam"],
    args,
    workingDir: mount,
    resources: { requests: { ...resources }, limits: { ...resources } },
    volumeMounts: [{ name: "data", mountPath: mount }],
  };
  const job = {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: jobName, labels: { "app.kubernetes.io/name": "cellsam-train" } },
    spec: {
      ...(sharded && { completionMode: "Indexed", completions: shards, parallelism: options.atOnce ?? shards }),
      ...(sharded ? { backoffLimitPerIndex: 3 } : { backoffLimit: 3 }),
      podFailurePolicy: {
        rules: [
          // Stopped and saved.
          { action: "Ignore", onExitCodes: { containerName: "cellsam", operator: "In", values: [75] } },
          // The node is drained or taken for another pod.
          { action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] },
          // Configuration or data are wrong: another try would end in the same way.
          { action: "FailJob", onExitCodes: { containerName: "cellsam", operator: "In", values: [2, 3] } },
        ],
      },
      template: {
        spec: {
          restartPolicy: "Never",
          terminationGracePeriodSeconds: warn,
          containers: [container],
          volumes: [{ name: "data", persistentVolumeClaim: { claimName: claim } }],
        },
      },
    },
  };
  const head = `# Written by cellsam-train ${packageVersion}: cellsam kubernetes ${[command, ...words].join(" ")}\n`;
  return head + stringify(job, { lineWidth: 0 });
}

/** "32Gi" twice is "64Gi". */
function times(size: string, factor: number): string {
  return size.replace(/^[\d.]+/, (number) => String(Number(number) * factor));
}
