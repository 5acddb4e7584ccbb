import { ToolError } from './define.ts'

/** A rational number in lowest terms; `under` is positive. */
export interface Fraction {
  over: bigint
  under: bigint
}

/** Of the two numbers together: what is longer costs too much, and says nothing to anybody. */
const MAX_BITS = 20_000
const MAX_EXPONENT = 10_000n

export const ZERO: Fraction = { over: 0n, under: 1n }
export const ONE: Fraction = { over: 1n, under: 1n }

export function fraction(over: bigint, under = 1n): Fraction {
  if (under < 0n) return fraction(-over, -under)
  const shared = divisor(over < 0n ? -over : over, under)
  const made = { over: over / shared, under: under / shared }
  if (bitsOf(made) > MAX_BITS) throw tooLong()
  return made
}

export function add(a: Fraction, b: Fraction): Fraction {
  return fraction(a.over * b.under + b.over * a.under, a.under * b.under)
}

export function negate({ over, under }: Fraction): Fraction {
  return { over: -over, under }
}

export function multiply(a: Fraction, b: Fraction): Fraction {
  return fraction(a.over * b.over, a.under * b.under)
}

/** `b` is not zero. */
export function divide(a: Fraction, b: Fraction): Fraction {
  return fraction(a.over * b.under, a.under * b.over)
}

/** Below zero where `a` is less. */
export function compare(a: Fraction, b: Fraction): number {
  const difference = a.over * b.under - b.over * a.under
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

export function isWhole({ under }: Fraction): boolean {
  return under === 1n
}

export function power(base: Fraction, exponent: Fraction): Fraction {
  if (!isWhole(exponent)) throw new ToolError('INVALID_ARGS', 'An exponent has to be whole. For roots: sqrt.')
  const times = exponent.over < 0n ? -exponent.over : exponent.over
  if (base.over === 0n && exponent.over < 0n) throw new ToolError('INVALID_ARGS', 'It divides by zero.')
  if (times > MAX_EXPONENT || BigInt(bitsOf(base)) * times > BigInt(2 * MAX_BITS)) {
    // 0, 1 and -1 stay short.
    if (base.under !== 1n || base.over > 1n || base.over < -1n) throw tooLong()
    return base.over === -1n && times % 2n === 0n ? ONE : base
  }
  const [over, under] = [base.over ** times, base.under ** times]
  return exponent.over < 0n ? fraction(under, over) : fraction(over, under)
}

/** In decimal, where that ends; else with so many digits after the point. */
export function inDecimal({ over, under }: Fraction, digits: number): { text: string; exact: boolean } {
  const places = placesOf(under)
  const exact = places !== undefined
  const scale = 10n ** BigInt(places ?? digits)
  const negative = over < 0n
  const scaled = (negative ? -over : over) * scale
  const rounded = exact ? scaled / under : (scaled * 2n + under) / (under * 2n)
  const all = rounded.toString().padStart((places ?? digits) + 1, '0')
  const cut = all.length - (places ?? digits)
  const decimals = all.slice(cut).replace(/0+$/, '')
  const sign = negative && rounded !== 0n ? '-' : ''
  return { text: `${sign}${all.slice(0, cut)}${decimals === '' ? '' : `.${decimals}`}`, exact }
}

/** Digits after the point; `undefined` where they do not end. */
function placesOf(under: bigint): number | undefined {
  let [rest, twos, fives] = [under, 0, 0]
  for (; rest % 2n === 0n; twos++) rest /= 2n
  for (; rest % 5n === 0n; fives++) rest /= 5n
  return rest === 1n ? Math.max(twos, fives) : undefined
}

function divisor(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b]
  while (y !== 0n) [x, y] = [y, x % y]
  return x === 0n ? 1n : x
}

function bitsOf({ over, under }: Fraction): number {
  return (over < 0n ? -over : over).toString(16).length * 4 + under.toString(16).length * 4
}

function tooLong(): ToolError {
  return new ToolError('INVALID_ARGS', 'The number gets too long to be computed exactly.')
}
