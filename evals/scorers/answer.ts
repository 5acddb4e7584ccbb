import { differences, fold, readRows } from '../table-text.ts'
import { type Scorer, share, short } from './score.ts'

/** Whether the last answer says what it has to, and nothing that it must not. */
export const scoreAnswer: Scorer = ({ expected: { answer } }, { answer: text }) => {
  const folded = fold(text)
  const plain = folded.replace(/(?<=\d),(?=\d{3})/g, '')
  const unsaid = answer.says
    .filter((one) => (typeof one === 'string' ? !has(plain, fold(one)) : !one.test(folded)))
    .map((one) => `the answer does not say ${typeof one === 'string' ? `"${one}"` : String(one)}`)
  const never = answer.never ?? []
  const said = never.filter((one) => one.test(folded)).map((one) => `the answer must not say ${String(one)}`)
  const rows = answer.rows ? differences(answer.rows, readRows(text)) : []
  const checked = answer.says.length + never.length + (answer.rows?.size ?? 0)
  const { value, why } = share(checked, [...unsaid, ...said, ...rows])
  return { value, why: why.length > 0 ? [...why, `it was: ${short(text)}`] : [] }
}

/** A number is not found inside a longer one. */
function has(text: string, wanted: string): boolean {
  const escaped = wanted.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const start = /^[-\d]/.test(wanted) ? '(?<![\\d.,-])' : ''
  const end = /\d$/.test(wanted) ? '(?!\\d|[.,]\\d)' : ''
  return new RegExp(`${start}${escaped}${end}`).test(text)
}
