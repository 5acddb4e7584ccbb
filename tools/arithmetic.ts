import { ToolError } from './define.ts'
import {
  add,
  compare,
  divide,
  fraction,
  type Fraction,
  isWhole,
  multiply,
  negate,
  power,
  ZERO,
} from './fraction.ts'

/** Each takes what stands in its brackets. */
const FUNCTIONS: Record<
  string,
  { least: number; most: number; of: (values: Fraction[], rounded: () => void) => Fraction }
> = {
  abs: { least: 1, most: 1, of: ([x = ZERO]) => (x.over < 0n ? negate(x) : x) },
  floor: { least: 1, most: 1, of: ([x = ZERO]) => floor(x) },
  ceil: { least: 1, most: 1, of: ([x = ZERO]) => negate(floor(negate(x))) },
  round: { least: 1, most: 2, of: ([x = ZERO, digits = ZERO]) => round(x, digits) },
  min: { least: 1, most: 100, of: (all) => all.reduce((a, b) => (compare(b, a) < 0 ? b : a)) },
  max: { least: 1, most: 100, of: (all) => all.reduce((a, b) => (compare(b, a) > 0 ? b : a)) },
  sum: { least: 1, most: 100, of: (all) => all.reduce(add) },
  mean: { least: 1, most: 100, of: (all) => divide(all.reduce(add), fraction(BigInt(all.length))) },
  sqrt: { least: 1, most: 1, of: ([x = ZERO], rounded) => root(x, rounded) },
}

/** Decimals of a root that has no end. */
const ROOT_DIGITS = 30n

/**
 * The value of an expression, exact but for roots: numbers, `+ - * / % ^`, brackets, and the functions above. `%` has the
 * sign of its left side, `^` takes whole exponents and binds more than a sign before it. Throws `ToolError`.
 */
export function evaluate(expression: string): { value: Fraction; exact: boolean } {
  const tokens = tokensOf(expression)
  let at = 0
  let exact = true
  const is = (...signs: string[]) => signs.includes(tokens[at] ?? '')
  const take = (sign: string) => {
    if (!is(sign)) throw wrong(`There should be "${sign}" ${placeOf(tokens, at)}.`)
    at += 1
  }

  function sum(): Fraction {
    let value = product()
    while (is('+', '-')) {
      const minus = tokens[at++] === '-'
      const next = product()
      value = add(value, minus ? negate(next) : next)
    }
    return value
  }

  function product(): Fraction {
    let value = signed()
    while (is('*', '/', '%')) {
      const sign = tokens[at++]
      const next = signed()
      if (sign === '*') value = multiply(value, next)
      else if (compare(next, ZERO) === 0) throw wrong('It divides by zero.')
      else value = sign === '/' ? divide(value, next) : remainder(value, next)
    }
    return value
  }

  function signed(): Fraction {
    if (is('-', '+')) return tokens[at++] === '-' ? negate(signed()) : signed()
    const base = operand()
    if (!is('^')) return base
    at += 1
    return power(base, signed())
  }

  function operand(): Fraction {
    const token = tokens[at++]
    if (token === undefined) throw wrong('It ends too early.')
    if (/^[\d.]/.test(token)) return numberOf(token)
    if (token === '(') {
      const value = sum()
      take(')')
      return value
    }
    const known = Object.hasOwn(FUNCTIONS, token) ? FUNCTIONS[token] : undefined
    if (known === undefined)
      throw wrong(`"${token}" is not known here. There are: ${Object.keys(FUNCTIONS).join(', ')}.`)
    take('(')
    const values = [sum()]
    while (is(',')) {
      at += 1
      values.push(sum())
    }
    take(')')
    if (values.length < known.least || values.length > known.most)
      throw wrong(`${token} takes ${known.most === 1 ? 'one value' : `at most ${known.most} values`}.`)
    return known.of(values, () => {
      exact = false
    })
  }

  const value = sum()
  if (at < tokens.length) throw wrong(`There is something left ${placeOf(tokens, at)}.`)
  return { value, exact }
}

function tokensOf(expression: string): string[] {
  const tokens: string[] = []
  const pattern = /\s*(\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?|\.\d+|[a-z]+|[-+*/%^(),])\s*/y
  while (pattern.lastIndex < expression.length) {
    const from = pattern.lastIndex
    const [, token] = pattern.exec(expression) ?? []
    if (token === undefined) throw wrong(`It cannot be read from "${expression.slice(from, from + 20)}" on.`)
    tokens.push(token)
  }
  if (tokens.length === 0) throw wrong('It is empty.')
  return tokens
}

function numberOf(token: string): Fraction {
  const [mantissa = '', exponent = '0'] = token.toLowerCase().split('e')
  const [whole = '', decimals = ''] = mantissa.split('.')
  const scale = Number(exponent) - decimals.length
  const digits = BigInt(whole + decimals)
  return scale >= 0 ? fraction(digits * 10n ** BigInt(scale)) : fraction(digits, 10n ** BigInt(-scale))
}

function floor({ over, under }: Fraction): Fraction {
  const whole = over / under
  return fraction(over < 0n && whole * under !== over ? whole - 1n : whole)
}

/** Halves go away from zero, as people round. */
function round(value: Fraction, digits: Fraction): Fraction {
  if (!isWhole(digits) || digits.over > 100n || digits.over < -100n)
    throw wrong('round takes a whole number of digits, from -100 to 100.')
  const scale = power(fraction(10n), digits)
  const scaled = multiply(value, scale)
  const half = fraction(1n, 2n)
  const whole = scaled.over < 0n ? negate(floor(add(negate(scaled), half))) : floor(add(scaled, half))
  return divide(whole, scale)
}

function remainder(a: Fraction, b: Fraction): Fraction {
  const times = divide(a, b)
  return add(a, negate(multiply(b, fraction(times.over / times.under))))
}

function root(value: Fraction, rounded: () => void): Fraction {
  if (value.over < 0n) throw wrong('sqrt takes no negative number.')
  const [over, under] = [wholeRoot(value.over), wholeRoot(value.under)]
  if (over * over === value.over && under * under === value.under) return fraction(over, under)
  rounded()
  const scale = 10n ** ROOT_DIGITS
  return fraction(wholeRoot((value.over * scale * scale) / value.under), scale)
}

/** By Newton, from above. */
function wholeRoot(value: bigint): bigint {
  if (value < 2n) return value
  let guess = 1n << BigInt((value.toString(2).length >> 1) + 1)
  for (;;) {
    const next = (guess + value / guess) >> 1n
    if (next >= guess) return guess
    guess = next
  }
}

function placeOf(tokens: string[], at: number): string {
  return at < tokens.length ? `before "${tokens.slice(at, at + 5).join(' ')}"` : 'at the end'
}

function wrong(message: string): ToolError {
  return new ToolError('INVALID_ARGS', message)
}
