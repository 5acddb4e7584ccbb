import { z } from 'zod'
import { evaluate } from './arithmetic.ts'
import { defineTool } from './define.ts'
import { inDecimal } from './fraction.ts'

/** After the point, where the decimals have no end. */
const DIGITS = 30

export const calculator = defineTool({
  name: 'calculator',
  description:
    'Computes one expression exactly, in fractions: 0.1 + 0.2 is 0.3. It knows numbers, + - * / % ^ and brackets, and ' +
    'abs, ceil, floor, max, mean, min, round(x, digits), sqrt, sum. Exponents are whole. It returns the value as text; ' +
    'where its decimals have no end, "exact" is false and 30 are given. It has no variables, no units and no dates.',
  schema: z.object({
    expression: z.string().min(1).max(1_000).describe('Such as "round(1249.90 * 0.19, 2)".'),
  }),
  risk: 'low',
  effect: 'none',
  trusted: true,

  run({ expression }) {
    const { value, exact } = evaluate(expression)
    const decimal = inDecimal(value, DIGITS)
    return Promise.resolve({ value: decimal.text, exact: exact && decimal.exact })
  },
})
