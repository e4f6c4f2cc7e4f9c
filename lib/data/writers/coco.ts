/** COCO instances: one JSON file for many images, masks as compressed run lengths. */
import { strictJson } from "../../files/json.js";
import { openAtomic } from "../../files/writeAtomic.js";
import { packCounts } from "../formats/rle.js";
import { type CellBox, cellBoxes, cellNumbers, type LabelArray, type Segmentation, sizeOf } from "./segmentation.js";

/** A COCO file that is being written. One of `commit` and `discard` must end it. */
export interface CocoWriter {
  /**
   * Adds an image and its cells. Images and annotations are numbered from 1 in the order in which they come; `cell_id` of an
   * annotation is the id in the label map.
   * @param fileName name of the image's file, as the COCO file will have it
   * @throws CellsamError ERR_FILE, ERR_LABEL_VALUES
   */
  add(fileName: string, cells: Segmentation): Promise<void>;
  /** Completes the file, which appears under its name now. @throws CellsamError ERR_FILE */
  commit(): Promise<void>;
  /** Leaves no file behind. Without effect after `commit`. */
  discard(): Promise<void>;
}

/**
 * Begins a COCO file with the one category `cell`. Every annotation has `segmentation` (run lengths, compressed as pycocotools
 * does), `area`, `bbox` [x, y, width, height], `iscrowd` 0 and, where it is known, `score`. In memory are the names of the images
 * and the runs of one cell.
 * @throws CellsamError ERR_FILE
 */
export async function openCocoWriter(path: string): Promise<CocoWriter> {
  const file = await openAtomic(path);
  const images: { id: number; file_name: string; height: number; width: number }[] = [];
  let annotations = 0;
  await file.write('{"annotations":[');
  return {
    add: async (fileName, cells) => {
      const [height, width] = sizeOf(cells.labels);
      const image = { id: images.length + 1, file_name: fileName, height, width };
      images.push(image);
      for (const box of cellBoxes(cells.labels)) {
        const { id, x0, y0, x1, y1, area } = box;
        const annotation = {
          id: ++annotations,
          image_id: image.id,
          category_id: 1,
          segmentation: { size: [height, width], counts: packCounts(runLengths(cells.labels, box)) },
          area,
          bbox: [x0, y0, x1 - x0, y1 - y0],
          iscrowd: 0,
          ...cellNumbers(cells, id),
          cell_id: id,
        };
        await file.write(`${annotations === 1 ? "\n" : ",\n"}${strictJson(annotation, 0)}`);
      }
    },
    commit: async () => {
      const listed = images.map((image) => strictJson(image, 0)).join(",\n");
      await file.write(`\n],\n"images":[\n${listed}\n],\n"categories":[{"id":1,"name":"cell","supercategory":""}]}\n`);
      await file.commit();
    },
    discard: () => file.discard(),
  };
}

/** COCO's counts of pixels outside, inside, outside, ... down the columns of the whole image. */
function runLengths({ data, shape: [height = 0, width = 0] }: LabelArray, { id, x0, y0, x1, y1 }: CellBox): number[] {
  const counts: number[] = [];
  let end = 0;
  for (let x = x0; x < x1; x++) {
    for (let y = y0; y < y1; y++) {
      if (data[y * width + x] !== id) continue;
      const at = x * height + y;
      if (counts.length > 0 && at === end) counts[counts.length - 1] = (counts.at(-1) as number) + 1;
      else counts.push(at - end, 1);
      end = at + 1;
    }
  }
  if (end < height * width) counts.push(height * width - end);
  return counts;
}
