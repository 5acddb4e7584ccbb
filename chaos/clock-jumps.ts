/**
 * Loaded before a server (`--import`): its clock is hours off, and jumps again every few seconds, forwards and
 * backwards. Timers and `performance.now()` stay right, as they do when a machine's clock is set.
 */
const HOUR_MS = 3_600_000
const EVERY_MS = 3_000
const JUMPS = [5, -3, 48, 0, -26, 1].map((hours) => hours * HOUR_MS)

const Real = Date
const started = performance.now()
const offset = () => JUMPS[Math.floor((performance.now() - started) / EVERY_MS) % JUMPS.length] ?? 0

class JumpingDate extends Real {
  constructor(...given: unknown[]) {
    if (given.length === 0) super(JumpingDate.now())
    else super(...(given as []))
  }

  static override now(): number {
    return Real.now() + offset()
  }
}

globalThis.Date = JumpingDate as DateConstructor
