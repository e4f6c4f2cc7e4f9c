/** Settings of several processes that train one model together. No result depends on them. */
import { choice, positive } from "./fields.js";

export const distributedFields = () => ({
  distributed: choice(["auto", "off"])
    .default("auto")
    .describe(
      "With auto, where a launcher (cellsam launch, torchrun, srun, mpirun, a Kubernetes Indexed Job) has started several processes, " +
        "they train one model together. With off, each is on its own.",
    ),
  distributedTimeout: positive()
    .default(600)
    .describe("Seconds after which a process that does not answer the others counts as lost. Longer than any step takes."),
});
