/**
 * A restricted reader of pickles: numbers, text, lists, sets, dicts and NumPy arrays. Nothing that a file names is ever looked up
 * or called: the few names that arrays and dicts are stored with are interpreted here. A value that any other name makes (a path,
 * a date, an object of another package) is skipped: it becomes a Skipped, and only who needs it reports it.
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
  /** Values are records of named fields. */
  fields = false;
  constructor(readonly code: string) {}
}

/** A value that was not made, and the name in the file that would make it. */
export class Skipped {
  constructor(readonly name: string) {}
}

class Mark {}
class Name {
  constructor(readonly name: string) {}
}

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
  "collections OrderedDict": "dict",
  "builtins dict": "dict",
  "__builtin__ dict": "dict",
};

/**
 * The object that a pickle holds; dicts are Maps, arrays are PickledArrays, sets are arrays.
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
      case "\x8b": // LONG4
        return void stack.push(this.#long(this.#take(4).readUInt32LE()));
      case "I": // text, as protocol 0 writes
      case "L":
      case "F":
        return void stack.push(this.#numeral(this.#line()));
      case "S":
        return void stack.push(this.#line().replace(/^(['"])(.*)\1$/s, "$2"));
      case "V":
        return void stack.push(unescaped(this.#line("latin1")));
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
      case ")":
      case "\x8f": // EMPTY_SET
        return void stack.push([]);
      case "}":
        return void stack.push(new Map());
      case "t":
      case "l":
      case "\x91": // FROZENSET
        return void stack.push(this.#untilMark());
      case "d": {
        const items = this.#untilMark();
        stack.push(new Map());
        this.#set(items);
        return;
      }
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
      case "\x90": // ADDITEMS
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
      case "p":
        return void this.#memo.set(Number(this.#line()), this.#top());
      case "g":
        this.#recall(Number(this.#line()));
        return;
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
      case "\x81": {
        // NEWOBJ
        const args = this.#pop();
        return void stack.push(this.#make(this.#pop(), args));
      }
      case "\x92": {
        // NEWOBJ_EX, with named arguments
        const args = [this.#pop(), this.#pop()][1];
        return void stack.push(this.#make(this.#pop(), args));
      }
      case "i": {
        const name = this.#name(this.#line(), this.#line());
        return void stack.push(this.#make(name, this.#untilMark()));
      }
      case "o": {
        const [made, ...args] = this.#untilMark();
        return void stack.push(this.#make(made, args));
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

  #line(encoding: "utf8" | "latin1" = "utf8"): string {
    const end = this.#bytes.indexOf(10, this.#at);
    if (end < 0) throw broken("its pickle is cut off");
    const text = this.#bytes.toString(encoding, this.#at, end);
    this.#at = end + 1;
    return text;
  }

  #numeral(text: string): number | boolean {
    if (text === "00" || text === "01") return text === "01"; // how protocol 0 writes False and True
    return Number(text.replace(/L$/, ""));
  }

  #long(count: number): number {
    let value = 0n;
    const bytes = this.#take(count);
    if (count > 255) return Number.NaN; // no id, and long to work out
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
    if (list instanceof Skipped) return;
    if (!Array.isArray(list)) throw broken("its pickle appends to what is no list");
    for (const item of items) list.push(item);
  }

  #set(items: unknown[]): void {
    const map = this.#top();
    if (map instanceof Skipped) return;
    if (!(map instanceof Map) || items.length % 2 !== 0) throw broken("its pickle sets keys of what is no dict");
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
  }

  #recall(index: number): void {
    if (!this.#memo.has(index)) throw broken("its pickle recalls what it never stored");
    this.#stack.push(this.#memo.get(index));
  }

  #name(module: string, name: string): Name | Skipped {
    const known = Object.hasOwn(MODULES, `${module} ${name}`) ? MODULES[`${module} ${name}`] : undefined;
    return known === undefined ? new Skipped(`${module}.${name}`) : new Name(known);
  }

  #make(made: unknown, args: unknown): unknown {
    if (made instanceof Skipped) return new Skipped(made.name);
    const name = made instanceof Name ? made.name : "";
    const list = Array.isArray(args) ? args : [];
    if (name === "dict") {
      const map = new Map<unknown, unknown>();
      for (const pair of Array.isArray(list[0]) ? list[0] : []) if (Array.isArray(pair)) map.set(pair[0], pair[1]);
      return map;
    }
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
    return new Skipped(name || "a value");
  }

  #build(target: unknown, state: unknown): void {
    if (target instanceof Skipped || target instanceof Map) return;
    const list = Array.isArray(state) ? state : [];
    if (target instanceof PickledType) {
      if (list[3] != null) target.fields = true;
      target.bigEndian = list[1] === ">";
      return;
    }
    if (!(target instanceof PickledArray)) throw unsupported("its pickle sets the state of something that is no numpy array");
    const [, shape, dtype, fortran, data] = list;
    if (!Array.isArray(shape) || !shape.every((side) => Number.isSafeInteger(side) && side >= 0))
      throw broken("an array of its pickle has no shape");
    // An array of another package's type has none here.
    Object.assign(target, { shape, dtype: dtype instanceof PickledType ? dtype : undefined, fortran: fortran === true });
    if (data instanceof Uint8Array) target.bytes = data;
    else if (Array.isArray(data)) target.items = data;
    else if (!(data instanceof Skipped)) throw broken("an array of its pickle has no values");
  }
}

/** The escapes of protocol 0: a backslash with u and four digits, or U and eight. */
function unescaped(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|U00([01][0-9a-fA-F]{5}))/g, (whole, four, six) => {
    const code = Number.parseInt(four ?? six, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
