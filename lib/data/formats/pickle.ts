/**
 * A restricted reader of pickles: numbers, text, lists, dicts and NumPy arrays. Nothing that a file names is ever looked up or
 * called: the few names that arrays are stored with are interpreted here, and every other name is refused.
 */
import { broken, unsupported } from "./limits.js";

/** A NumPy array as stored: `bytes` in the order that `fortran` says, or `items` for arrays of objects. */
export class PickledArray {
  shape: number[] = [];
  dtype: PickledType | undefined;
  fortran = false;
  bytes: Uint8Array = new Uint8Array();
  items: unknown[] | undefined;
}

export class PickledType {
  bigEndian = false;
  constructor(readonly code: string) {}
}

class Mark {}
class Name {
  constructor(readonly name: string) {}
}

const KNOWN = new Set(["ndarray", "dtype", "_reconstruct", "scalar", "encode", "_frombuffer"]);
const MODULES: Record<string, string> = {
  "numpy ndarray": "ndarray",
  "numpy dtype": "dtype",
  "_codecs encode": "encode",
  "numpy.core.multiarray _reconstruct": "_reconstruct",
  "numpy._core.multiarray _reconstruct": "_reconstruct",
  "numpy.core.numeric _frombuffer": "_frombuffer",
  "numpy._core.numeric _frombuffer": "_frombuffer",
  "numpy.core.multiarray scalar": "scalar",
  "numpy._core.multiarray scalar": "scalar",
};

/**
 * The object that a pickle holds; dicts are Maps, arrays are PickledArrays.
 * @throws CellsamError ERR_IMAGE_UNSUPPORTED, ERR_IMAGE_BROKEN
 */
export function readPickle(bytes: Uint8Array): unknown {
  return new Machine(bytes).run();
}

class Machine {
  #at = 0;
  readonly #bytes: Buffer;
  readonly #stack: unknown[] = [];
  readonly #memo = new Map<number, unknown>();

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  run(): unknown {
    for (;;) {
      const code = this.#take(1)[0] ?? 0;
      if (code === 0x2e) return this.#pop();
      this.#step(code);
    }
  }

  #step(code: number): void {
    const stack = this.#stack;
    switch (String.fromCharCode(code)) {
      case "\x80": // PROTO
        return void this.#take(1);
      case "\x95": // FRAME
        return void this.#take(8);
      case "(":
        return void stack.push(new Mark());
      case "0":
        return void this.#pop();
      case "1":
        return void this.#untilMark();
      case "2":
        return void stack.push(this.#top());
      case "N":
        return void stack.push(null);
      case "\x88":
        return void stack.push(true);
      case "\x89":
        return void stack.push(false);
      case "K":
        return void stack.push(this.#take(1).readUInt8());
      case "M":
        return void stack.push(this.#take(2).readUInt16LE());
      case "J":
        return void stack.push(this.#take(4).readInt32LE());
      case "G":
        return void stack.push(this.#take(8).readDoubleBE());
      case "\x8a": // LONG1
        return void stack.push(this.#long(this.#take(1).readUInt8()));
      case "U":
      case "C":
        return void stack.push(this.#take(this.#take(1).readUInt8()));
      case "T":
      case "B":
        return void stack.push(this.#take(this.#take(4).readUInt32LE()));
      case "\x8e": // BINBYTES8
      case "\x96": // BYTEARRAY8
        return void stack.push(this.#take(this.#length8()));
      case "\x8c": // SHORT_BINUNICODE
        return void stack.push(this.#take(this.#take(1).readUInt8()).toString("utf8"));
      case "X":
        return void stack.push(this.#take(this.#take(4).readUInt32LE()).toString("utf8"));
      case "\x8d": // BINUNICODE8
        return void stack.push(this.#take(this.#length8()).toString("utf8"));
      case "]":
        return void stack.push([]);
      case ")":
        return void stack.push([]);
      case "}":
        return void stack.push(new Map());
      case "t":
      case "l":
        return void stack.push(this.#untilMark());
      case "\x85":
        return void stack.push([this.#pop()]);
      case "\x86":
        return void stack.push([this.#pop(), this.#pop()].reverse());
      case "\x87":
        return void stack.push([this.#pop(), this.#pop(), this.#pop()].reverse());
      case "a":
        this.#append([this.#pop()]);
        return;
      case "e":
        this.#append(this.#untilMark());
        return;
      case "s":
        this.#set([this.#pop(), this.#pop()].reverse());
        return;
      case "u":
        this.#set(this.#untilMark());
        return;
      case "q":
        return void this.#memo.set(this.#take(1).readUInt8(), this.#top());
      case "r":
        return void this.#memo.set(this.#take(4).readUInt32LE(), this.#top());
      case "\x94": // MEMOIZE
        return void this.#memo.set(this.#memo.size, this.#top());
      case "h":
        this.#recall(this.#take(1).readUInt8());
        return;
      case "j":
        this.#recall(this.#take(4).readUInt32LE());
        return;
      case "c":
        return void stack.push(this.#name(this.#line(), this.#line()));
      case "\x93": {
        const [name, module] = [this.#pop(), this.#pop()];
        return void stack.push(this.#name(String(module), String(name)));
      }
      case "R": {
        const args = this.#pop();
        return void stack.push(this.#make(this.#pop(), args));
      }
      case "b": {
        const state = this.#pop();
        this.#build(this.#top(), state);
        return;
      }
      default:
        throw unsupported(
          `its pickle uses an operation that is not read (0x${code.toString(16)}); only numpy arrays and plain values are`,
        );
    }
  }

  #take(count: number): Buffer {
    if (count > this.#bytes.length - this.#at) throw broken("its pickle is cut off");
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  #length8(): number {
    const length = Number(this.#take(8).readBigUInt64LE());
    if (!Number.isSafeInteger(length)) throw broken("its pickle is cut off");
    return length;
  }

  #line(): string {
    const end = this.#bytes.indexOf(10, this.#at);
    if (end < 0) throw broken("its pickle is cut off");
    const text = this.#bytes.toString("utf8", this.#at, end);
    this.#at = end + 1;
    return text;
  }

  #long(count: number): number {
    let value = 0n;
    const bytes = this.#take(count);
    for (let i = count - 1; i >= 0; i--) value = value * 256n + BigInt(bytes[i] ?? 0);
    return Number(BigInt.asIntN(count * 8, value));
  }

  #pop(): unknown {
    if (this.#stack.length === 0) throw broken("its pickle takes more from the stack than is there");
    return this.#stack.pop();
  }

  #top(): unknown {
    if (this.#stack.length === 0) throw broken("its pickle takes more from the stack than is there");
    return this.#stack.at(-1);
  }

  #untilMark(): unknown[] {
    const at = this.#stack.findLastIndex((item) => item instanceof Mark);
    if (at < 0) throw broken("its pickle has no mark where one is needed");
    return this.#stack.splice(at).slice(1);
  }

  #append(items: unknown[]): void {
    const list = this.#top();
    if (!Array.isArray(list)) throw broken("its pickle appends to what is no list");
    for (const item of items) list.push(item);
  }

  #set(items: unknown[]): void {
    const map = this.#top();
    if (!(map instanceof Map) || items.length % 2 !== 0) throw broken("its pickle sets keys of what is no dict");
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
  }

  #recall(index: number): void {
    if (!this.#memo.has(index)) throw broken("its pickle recalls what it never stored");
    this.#stack.push(this.#memo.get(index));
  }

  #name(module: string, name: string): Name {
    const known = MODULES[`${module} ${name}`];
    if (known === undefined || !KNOWN.has(known))
      throw unsupported(`its pickle names ${module}.${name}, which is refused: only numpy arrays and plain values are read`);
    return new Name(known);
  }

  #make(made: unknown, args: unknown): unknown {
    const name = made instanceof Name ? made.name : "";
    const list = Array.isArray(args) ? args : [];
    if (name === "_reconstruct") return new PickledArray();
    if (name === "_frombuffer") {
      // Protocol 5: (bytes, type, shape, "C" or "F").
      const array = new PickledArray();
      this.#build(array, [1, list[2], list[1], list[3] === "F", list[0]]);
      return array;
    }
    if (name === "dtype" && typeof list[0] === "string") return new PickledType(list[0]);
    // Protocol 2 stores bytes as Latin-1 text.
    if (name === "encode" && typeof list[0] === "string" && list[1] === "latin1") return Buffer.from(list[0], "latin1");
    // A NumPy scalar; none is needed here.
    if (name === "scalar") return null;
    throw unsupported("its pickle calls something that is not read; only numpy arrays and plain values are");
  }

  #build(target: unknown, state: unknown): void {
    const list = Array.isArray(state) ? state : [];
    if (target instanceof PickledType) {
      if (list[3] != null) throw unsupported("its arrays have named fields, which are not read");
      target.bigEndian = list[1] === ">";
      return;
    }
    if (!(target instanceof PickledArray)) throw unsupported("its pickle sets the state of something that is no numpy array");
    const [, shape, dtype, fortran, data] = list;
    if (
      !Array.isArray(shape) ||
      !shape.every((side) => Number.isSafeInteger(side) && side >= 0) ||
      !(dtype instanceof PickledType)
    )
      throw broken("an array of its pickle has no shape or type");
    Object.assign(target, { shape, dtype, fortran: fortran === true });
    if (data instanceof Uint8Array) target.bytes = data;
    else if (Array.isArray(data)) target.items = data;
    else throw broken("an array of its pickle has no values");
  }
}
