import { Cron } from 'croner'
import { RuntimeError } from './errors.ts'

/** When a cron is due. */
export interface Schedule {
  /** Five fields: minute, hour, day of month, month, day of week. */
  schedule: string
  /** Of the IANA database; null is UTC. */
  timezone: string | null
  /** The last moment at which it may be due; null: for ever. */
  end_time: Date | null
}

/**
 * The first time after that moment; null where none is left. Where clocks are put forward, what is at set times comes
 * at the end of the gap, and what repeats leaves it out; where they are put back, what is at set times comes once, and
 * what repeats goes on through the hour that comes twice: Vixie cron's rules.
 */
export function nextTime({ schedule, timezone, end_time: end }: Schedule, after: Date): Date | null {
  const next = calendar(schedule, timezone ?? 'UTC').nextRun(after)
  return next === null || (end !== null && next > end) ? null : next
}

/** The first time of a schedule that somebody asks for. Throws `invalid_input` where it has none. */
export function firstTime(asked: Schedule, now: Date): Date {
  if (asked.end_time !== null && asked.end_time <= now)
    throw new RuntimeError(
      'invalid_input',
      'end_time: It is over already. Give a later one, or set enabled to false.',
    )
  const next = nextTime(asked, now)
  if (next !== null) return next
  throw new RuntimeError(
    'invalid_input',
    nextTime({ ...asked, end_time: null }, now) === null
      ? `schedule: "${asked.schedule}" never comes. Check its day and month.`
      : `end_time: It comes before the first time of "${asked.schedule}". Give a later one.`,
  )
}

// Seconds, nicknames such as @daily and bare dates are the library's own, and no other server of the protocol takes them.
const FIVE_FIELDS = /^[\d*,/#A-Za-z-]+( +[\d*,/#A-Za-z-]+){4}$/

export function isSchedule(text: string): boolean {
  if (!FIVE_FIELDS.test(text)) return false
  try {
    calendar(text, 'UTC')
    return true
  } catch {
    return false
  }
}

/** A name of the IANA database, in any case. Offsets are none: they know no daylight saving time. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

/** Started by nobody: without a function it is only asked. */
function calendar(schedule: string, timezone: string): Cron {
  return new Cron(schedule, { timezone, mode: '5-part', fixedTimeRule: 'no-wildcard' })
}
