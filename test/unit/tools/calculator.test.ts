import { expect, test } from 'vitest'
import { serviceKey } from '../../../runtime/services.ts'
import { calculator } from '../../../tools/calculator.ts'
import { callWith, ranBy } from './call-context.ts'

const compute = (expression: string) =>
  ranBy(calculator, { expression }, callWith(serviceKey<null>('none'), null))

test.each([
  ['0.1 + 0.2', '0.3'],
  ['1249.90 * 0.19', '237.481'],
  ['round(1249.90 * 0.19, 2)', '237.48'],
  ['round(2.5)', '3'],
  ['round(-2.5)', '-3'],
  ['round(12345, -2)', '12300'],
  ['-2 ^ 2', '-4'],
  ['(-2) ^ 2', '4'],
  ['2 ^ 3 ^ 2', '512'],
  ['2 ^ -2', '0.25'],
  ['7 % 3', '1'],
  ['-7 % 3', '-1'],
  ['7.5 % 2', '1.5'],
  ['1 - -1', '2'],
  ['2 * (3 + 4) - 5 / 2', '11.5'],
  ['1e3 + 1.5E-3', '1000.0015'],
  ['.5 * 4', '2'],
  ['9007199254740993 * 3', '27021597764222979'],
  ['floor(-1.5) + ceil(-1.5)', '-3'],
  ['max(1, 3, 2) - min(1, 3, 2) + sum(1, 2, 3) + mean(1, 2)', '9.5'],
  ['abs(-3.25)', '3.25'],
  ['0 * -1', '0'],
  ['2 ^ 200', (2n ** 200n).toString()],
])('%s is %s, exactly', async (expression, value) => {
  expect(await compute(expression)).toEqual({ value, exact: true })
})

test('decimals without an end are cut, and it says so', async () => {
  expect(await compute('2 / 3')).toEqual({ value: '0.666666666666666666666666666667', exact: false })
  expect(await compute('sqrt(2)')).toEqual({ value: '1.414213562373095048801688724209', exact: false })
  expect(await compute('sqrt(2.25) + sqrt(16)')).toEqual({ value: '5.5', exact: true })
})

test.each([
  ['1 / 0', 'divides by zero'],
  ['0 ^ -1', 'divides by zero'],
  ['5 % (2 - 2)', 'divides by zero'],
  ['2 ^ 0.5', 'whole'],
  ['sqrt(-1)', 'negative'],
  ['1 +', 'ends too early'],
  ['(1', '")"'],
  ['1 2', 'something left'],
  ['1,2', 'something left'],
  ['', ''],
  ['process.exit(1)', 'cannot be read'],
  ['constructor(1)', 'not known'],
  ['eval(1)', 'not known'],
  ['round(1, 2, 3)', 'at most 2'],
  ['round(1, 0.5)', 'whole number of digits'],
  ['9 ^ 9 ^ 9', 'too long'],
  ['9 ^ 9999', 'too long'],
  ['10 ^ 10000', 'too long'],
  ['1e999 * 1e999 * 1e999 * 1e999 * 1e999 * 1e999 * 1e999', 'too long'],
])('%s is refused with a reason', async (expression, reason) => {
  const started = performance.now()
  await expect(compute(expression)).rejects.toMatchObject({
    name: 'ToolError',
    code: 'INVALID_ARGS',
    message: expect.stringContaining(reason),
  })
  expect(performance.now() - started).toBeLessThan(1_000)
})

test('an expression that is nested as deeply as it may be long is computed', async () => {
  expect(await compute(`${'('.repeat(499)}1${')'.repeat(499)}`)).toEqual({ value: '1', exact: true })
  expect(await compute(`${'-'.repeat(999)}1`)).toEqual({ value: '-1', exact: true })
})
