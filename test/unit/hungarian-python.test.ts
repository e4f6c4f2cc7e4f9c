// The assignment solver against SciPy's linear_sum_assignment on the same matrices.
import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { Random } from "../../lib/data/random.js";
import { hungarian } from "../../lib/engine/losses.js";

const python = process.env.CELLSAM_PYTHON;
if (!python) console.warn("SKIPPED: CELLSAM_PYTHON is not set, so SciPy does not check the assignments");

const program = `
import json, sys
import numpy as np
from scipy.optimize import linear_sum_assignment
totals = []
for problem in json.load(sys.stdin):
    cost = np.array(problem["cost"], dtype=float).reshape(problem["shape"])
    totals.append(float(cost[linear_sum_assignment(cost)].sum()))
print(json.dumps(totals))
`;

describe.skipIf(!python)("assignments", () => {
  test("cost as much as SciPy's", () => {
    const random = new Random(21);
    const problems = Array.from({ length: 60 }, (_, i) => {
      const shape = [1 + Math.floor(random.uniform() * 40), 1 + Math.floor(random.uniform() * (i % 3 === 0 ? 300 : 40))];
      const [rows = 0, columns = 0] = i % 2 === 0 ? shape : shape.reverse();
      const places = Float64Array.from({ length: rows + columns }, () => random.uniform());
      const cost = Float64Array.from({ length: rows * columns }, (_, at) => {
        const [row, column] = [Math.floor(at / columns), at % columns];
        if (i % 4 === 0) return random.uniform();
        if (i % 4 === 1) return Math.floor(random.uniform() * 4); // ties
        if (i % 4 === 2) return Math.abs((places[row] ?? 0) - (places[rows + column] ?? 0)); // points on a line
        return (places[row] ?? 0) * (places[rows + column] ?? 0) - 0.5; // all rows want the same columns
      });
      return { cost, shape: [rows, columns] };
    });
    const input = JSON.stringify(problems.map(({ cost, shape }) => ({ cost: [...cost], shape })));
    const totals: number[] = JSON.parse(execFileSync(python ?? "", ["-c", program], { input, encoding: "utf8" }));
    const found = problems.map(({ cost, shape }) => hungarian({ data: cost, shape }).total);
    expect(totals).toHaveLength(60);
    for (const [i, total] of totals.entries()) expect(found[i], `problem ${i}`).toBeCloseTo(total, 10);
  });
});
