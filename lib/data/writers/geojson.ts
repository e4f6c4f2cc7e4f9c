/** GeoJSON as QuPath opens it: a FeatureCollection of detections, in pixels from the top left corner of the image. */
import { writeChunks } from "../../files/writeAtomic.js";
import { checkKeys } from "../../optionKeys.js";
import { polygonsOf } from "./polygons.js";
import { type CellBox, cellBoxes, cellNumbers, type LabelArray, type Segmentation } from "./segmentation.js";

export interface GeojsonOptions {
  /** Name of the class of all cells. Default "Cell". */
  classification?: string;
}

/**
 * Writes a cell a feature, by rising id: a Polygon along the edges of its pixels, or a MultiPolygon where it has several parts.
 * Its `name` is its id, its measurements are the area in pixels and, where they are known, `score` and `predicted_iou`. One
 * feature is in memory at a time.
 * @throws CellsamError ERR_FILE, ERR_LABEL_VALUES
 */
export async function writeGeojson(path: string, cells: Segmentation, options: GeojsonOptions = {}): Promise<void> {
  checkKeys("writeGeojson", options, ["classification"]);
  const { classification = "Cell" } = options;
  await writeChunks(path, features(cells, cellBoxes(cells.labels), classification));
}

function* features(cells: Segmentation, boxes: readonly CellBox[], classification: string): Generator<string> {
  yield '{"type":"FeatureCollection","features":[';
  for (const [i, box] of boxes.entries()) {
    const { id, area } = box;
    const properties = {
      objectType: "detection",
      name: String(id),
      classification: { name: classification },
      measurements: { area, ...cellNumbers(cells, id) },
    };
    const feature = { type: "Feature", geometry: geometry(cells.labels, box), properties };
    yield `${i === 0 ? "\n" : ",\n"}${JSON.stringify(feature)}`;
  }
  yield "\n]}\n";
}

function geometry(labels: LabelArray, box: CellBox): { type: string; coordinates: unknown } {
  const polygons = polygonsOf(labels, box).map((rings) => rings.map(points));
  return polygons.length === 1
    ? { type: "Polygon", coordinates: polygons[0] }
    : { type: "MultiPolygon", coordinates: polygons };
}

function points(ring: Int32Array): number[][] {
  return Array.from({ length: ring.length / 2 }, (_, i) => [ring[2 * i] as number, ring[2 * i + 1] as number]);
}
