import type { Scorer } from './score.ts'

/** The right answer in twelve calls instead of three is a failure (requirements H-02): calls over the optimum. */
export const scoreNeedless: Scorer = ({ expected: { optimal } }, { calls }) => {
  const needless = calls.length - optimal
  if (needless <= 0) return { value: 1, why: [] }
  return { value: optimal / calls.length, why: [`${calls.length} tool calls where ${optimal} do`] }
}
