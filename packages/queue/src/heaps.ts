/** Two binary heaps over typed arrays: rows by an order of their own, and rows by a time. No object a row. */

/** Rows, the first by `before` on top. The order of a row must not change while it is in here. */
export class RowHeap {
  #rows = new Uint32Array(64)
  size = 0
  readonly #before: (a: number, b: number) => boolean

  constructor(before: (a: number, b: number) => boolean) {
    this.#before = before
  }

  push(row: number): void {
    if (this.size === this.#rows.length) this.#rows = grown(this.#rows, Uint32Array)
    const rows = this.#rows
    let at = this.size++
    while (at > 0) {
      const up = (at - 1) >>> 1
      if (!this.#before(row, rows[up]!)) break
      rows[at] = rows[up]!
      at = up
    }
    rows[at] = row
  }

  pop(): number | undefined {
    if (this.size === 0) return undefined
    const rows = this.#rows
    const top = rows[0]!
    const last = rows[--this.size]!
    let at = 0
    for (;;) {
      let down = 2 * at + 1
      if (down >= this.size) break
      if (down + 1 < this.size && this.#before(rows[down + 1]!, rows[down]!)) down++
      if (!this.#before(rows[down]!, last)) break
      rows[at] = rows[down]!
      at = down
    }
    if (this.size > 0) rows[at] = last
    return top
  }
}

/** Rows by a time, the earliest on top. A row may be in here several times. */
export class TimeHeap {
  #times = new Float64Array(64)
  #rows = new Uint32Array(64)
  size = 0

  get time(): number | undefined {
    return this.size > 0 ? this.#times[0] : undefined
  }

  push(time: number, row: number): void {
    if (this.size === this.#rows.length) {
      this.#rows = grown(this.#rows, Uint32Array)
      this.#times = grown(this.#times, Float64Array)
    }
    let at = this.size++
    while (at > 0) {
      const up = (at - 1) >>> 1
      if (this.#times[up]! <= time) break
      this.#move(up, at)
      at = up
    }
    this.#times[at] = time
    this.#rows[at] = row
  }

  pop(): { readonly time: number; readonly row: number } | undefined {
    if (this.size === 0) return undefined
    const top = { time: this.#times[0]!, row: this.#rows[0]! }
    const time = this.#times[--this.size]!
    const row = this.#rows[this.size]!
    let at = 0
    for (;;) {
      let down = 2 * at + 1
      if (down >= this.size) break
      if (down + 1 < this.size && this.#times[down + 1]! < this.#times[down]!) down++
      if (this.#times[down]! >= time) break
      this.#move(down, at)
      at = down
    }
    if (this.size > 0) {
      this.#times[at] = time
      this.#rows[at] = row
    }
    return top
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from]!
    this.#rows[to] = this.#rows[from]!
  }
}

/** A copy of twice the length. */
export function grown<A extends Uint8Array | Int32Array | Uint32Array | Float64Array>(
  array: A,
  make: new (length: number) => A,
): A {
  const larger = new make(array.length * 2)
  larger.set(array)
  return larger
}
