// @ts-check

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** How long ago, in the largest unit that says something. @param {string} iso @param {number} [now] */
export function ago(iso, now = Date.now()) {
  const passed = now - Date.parse(iso)
  return passed < MINUTE ? 'just now' : `${span(passed)} ago`
}

/** How long there is left. @param {string} iso @param {number} [now] */
export function until(iso, now = Date.now()) {
  const left = Date.parse(iso) - now
  return left < MINUTE ? 'any moment' : `in ${span(left)}`
}

/** Whether so little is left that it should be seen. @param {string | null} iso @param {number} [now] */
export function isSoon(iso, now = Date.now()) {
  return iso !== null && Date.parse(iso) - now < 30 * MINUTE
}

/** Date and time as the reader's system writes them. @param {string} iso */
export function moment(iso) {
  return new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
}

/** @param {number} ms */
function span(ms) {
  const [days, hours, minutes] = [Math.floor(ms / DAY), Math.floor(ms / HOUR), Math.floor(ms / MINUTE)]
  if (days > 1) return `${days} days`
  if (hours >= 10) return `${hours} h`
  if (hours > 0) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  return `${minutes} min`
}
