/** Names annotations that are not read, so that a message can say what a file is and not only that it is unknown. */
import { isObject } from "./json.js";

const within = (value: unknown, ...names: string[]) => isObject(value) && names.every((name) => name in value);

/** Programs or formats by what is at the top of their JSON or XML. */
const kinds: [name: string, is: (content: unknown) => boolean][] = [
  ["VGG Image Annotator", (content) => within(content, "_via_img_metadata") || viaRegions(content)],
  ["Label Studio's own JSON", (content) => Array.isArray(content) && within(content[0], "data", "annotations")],
  ["Supervisely", (content) => within(content, "objects", "size") && !within(content, "shapes")],
  ["COCO results", (content) => Array.isArray(content) && within(content[0], "image_id", "category_id")],
  ["Labelbox", (content) => within(Array.isArray(content) ? content[0] : content, "data_row")],
  ["Pascal VOC", (content) => within(content, "annotation")],
  ["Aperio ImageScope", (content) => within(content, "Annotations")],
  ["ASAP", (content) => within(content, "ASAP_Annotations")],
];

/** VIA's export of regions alone: entries with a file name, a size and a list of regions. */
function viaRegions(content: unknown): boolean {
  const [first] = isObject(content) ? Object.values(content) : [];
  return within(first, "filename", "regions");
}

export function foreignKind(content: unknown): string | undefined {
  return kinds.find(([, is]) => is(content))?.[0];
}
