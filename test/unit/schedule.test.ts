import { describe, expect, test } from 'vitest'
import { firstTime, isSchedule, isTimeZone, nextTime } from '../../runtime/schedule.ts'

const MINUTE_MS = 60_000
const DAY_MS = 1_440 * MINUTE_MS

/** The next `count` times after that moment, as ISO 8601 to the minute. */
function times(schedule: string, timezone: string | null, after: string, count: number): string[] {
  const found: string[] = []
  let at = new Date(after)
  while (found.length < count) {
    at = nextTime({ schedule, timezone, end_time: null }, at) ?? new Date(Number.NaN)
    found.push(`${at.toISOString().slice(0, 16)}Z`)
  }
  return found
}

describe('where clocks are put forward (Stockholm, 02:00 to 03:00)', () => {
  const from = '2026-03-28T12:00Z'

  test('what is at a set time in the gap comes at its end, once', () => {
    expect(times('30 2 * * *', 'Europe/Stockholm', from, 2)).toEqual([
      '2026-03-29T01:00Z',
      '2026-03-30T00:30Z',
    ])
    expect(times('15,45 2 * * *', 'Europe/Stockholm', from, 2)).toEqual([
      '2026-03-29T01:00Z',
      '2026-03-30T00:15Z',
    ])
  })

  test('what repeats leaves the gap out', () => {
    expect(times('*/30 * * * *', 'Europe/Stockholm', '2026-03-29T00:15Z', 3)).toEqual([
      '2026-03-29T00:30Z',
      '2026-03-29T01:00Z',
      '2026-03-29T01:30Z',
    ])
  })
})

describe('where clocks are put back (Stockholm, 03:00 to 02:00)', () => {
  const from = '2026-10-24T12:00Z'

  test('what is at a set time comes once, the first time', () => {
    expect(times('30 2 * * *', 'Europe/Stockholm', from, 2)).toEqual([
      '2026-10-25T00:30Z',
      '2026-10-26T01:30Z',
    ])
    // In the hour that comes again it is over.
    expect(times('30 2 * * *', 'Europe/Stockholm', '2026-10-25T01:10Z', 1)).toEqual(['2026-10-26T01:30Z'])
  })

  test('what repeats goes on through the hour that comes twice', () => {
    expect(times('0 * * * *', 'Europe/Stockholm', '2026-10-24T23:30Z', 4)).toEqual([
      '2026-10-25T00:00Z',
      '2026-10-25T01:00Z',
      '2026-10-25T02:00Z',
      '2026-10-25T03:00Z',
    ])
  })
})

test('without a zone it is UTC; names, lists, ranges, steps, the last day and the second Friday are understood', () => {
  const from = '2026-06-20T00:00Z'
  expect(times('0 9 * * mon-FRI', null, from, 1)).toEqual(['2026-06-22T09:00Z'])
  expect(times('0 9 1 jan,feb *', null, from, 2)).toEqual(['2027-01-01T09:00Z', '2027-02-01T09:00Z'])
  expect(times('0 8-18/5 * * 7', null, from, 3)).toEqual([
    '2026-06-21T08:00Z',
    '2026-06-21T13:00Z',
    '2026-06-21T18:00Z',
  ])
  expect(times('0 0 L * *', null, from, 2)).toEqual(['2026-06-30T00:00Z', '2026-07-31T00:00Z'])
  expect(times('0 0 * * 5#2', null, from, 1)).toEqual(['2026-07-10T00:00Z'])
  expect(times('0 0 29 2 *', null, from, 2)).toEqual(['2028-02-29T00:00Z', '2032-02-29T00:00Z'])
  // As in every cron: where both days are named, either will do.
  expect(times('0 0 13 * 5', null, from, 3)).toEqual([
    '2026-06-26T00:00Z',
    '2026-07-03T00:00Z',
    '2026-07-10T00:00Z',
  ])
})

test.each([
  '',
  '* * * *',
  '* * * * * *',
  '@daily',
  '60 * * * *',
  '0 24 * * *',
  '0 0 0 * *',
  '0 0 32 * *',
  '0 0 * 13 *',
  '0 0 * * 8',
  '*/0 * * * *',
  '5/15 * * * *',
  '9-5 * * * *',
  '1,,2 * * * *',
  'a b c d e',
  '? ? ? ? ?',
  '0 12 1 * +MON',
  '2030-01-01T00:00:00',
  '0\n0 1 1 *',
  '-1 * * * *',
  '1.5 * * * *',
])('"%s" is no schedule', (text) => expect(isSchedule(text)).toBe(false))

test('zones are names; offsets are none, for they know no daylight saving time', () => {
  for (const name of ['Europe/Stockholm', 'europe/stockholm', 'UTC', 'America/Argentina/Buenos_Aires'])
    expect(isTimeZone(name), name).toBe(true)
  for (const name of ['', '+02:00', '-0500', 'Mars/Phobos', 'CEST!', 'Europe'])
    expect(isTimeZone(name), name).toBe(false)
})

describe('the end', () => {
  const daily = { schedule: '0 9 * * *', timezone: null }
  const now = new Date('2026-06-20T08:00Z')
  const until = (end: string) => ({ ...daily, end_time: new Date(end) })

  test('a time at it still counts, one after it does not', () => {
    expect(nextTime(until('2026-06-20T09:00Z'), now)).toEqual(new Date('2026-06-20T09:00Z'))
    expect(nextTime(until('2026-06-20T08:59:59Z'), now)).toBeNull()
  })

  test('what would never be due is refused, with what to do', () => {
    expect(() => firstTime(until('2026-06-20T07:00Z'), now)).toThrow('end_time: It is over already.')
    expect(() => firstTime(until('2026-06-20T08:30Z'), now)).toThrow('Give a later one.')
    expect(() => firstTime({ schedule: '0 0 31 2 *', timezone: null, end_time: null }, now)).toThrow(
      'schedule: "0 0 31 2 *" never comes. Check its day and month.',
    )
  })
})

/** Each zone with days on which its clock is changed, and one on which it is not. */
const PLACES: [zone: string, ...days: string[]][] = [
  ['UTC', '2026-02-28'],
  ['Europe/Stockholm', '2026-03-29', '2026-10-25', '2027-12-31'],
  ['America/New_York', '2026-03-08', '2026-11-01'],
  ['Australia/Lord_Howe', '2026-04-05', '2026-10-04'],
  ['America/Santiago', '2026-04-05', '2026-09-06'],
  ['Africa/Cairo', '2026-04-24', '2026-10-30'],
  ['Antarctica/Troll', '2026-03-29', '2026-10-25'],
  ['Asia/Kathmandu', '2028-02-29'],
]

describe('for random expressions, the next times are those that a search through all minutes finds', () => {
  test.each(PLACES)('in %s', { timeout: 20_000 }, (zone, ...dates) => {
    for (const [index, date] of dates.entries()) {
      const middle = Date.parse(`${date}T00:00Z`)
      const from = middle - DAY_MS
      const until = middle + 2 * DAY_MS
      const days = localDays(zone, from - DAY_MS, until + DAY_MS)
      const random = randomFrom(zone.length * 1_000 + index)
      for (let n = 0; n < 30; n++) {
        const schedule = randomSchedule(random)
        const when = { schedule, timezone: zone, end_time: new Date(until) }
        const expected = searchAll(schedule, days).filter((at) => at <= until)
        // Between minutes, too; from the change of the clock on; and all that are few.
        for (const start of [from, middle, from + Math.floor(random() * (until - from))]) {
          const found: number[] = []
          let next = nextTime(when, new Date(start))
          while (next !== null && found.length < 60) {
            found.push(next.getTime())
            next = nextTime(when, next)
          }
          const due = expected.filter((at) => at > start).slice(0, 60)
          expect(found.map(iso), `${schedule} in ${zone} after ${iso(start)}`).toEqual(due.map(iso))
        }
      }
    }
  })
})

interface Minute {
  at: number
  minute: number
  hour: number
  day: number
  month: number
  weekday: number
  /** Of the day and the time, by the wall's clock. */
  wall: number
}

function iso(at: number): string {
  return new Date(at).toISOString()
}

/** Every minute between by its local day, with what the wall's clock and calendar say. */
function localDays(zone: string, from: number, until: number): Minute[][] {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  })
  const minutes: Minute[] = []
  for (let at = from; at <= until; at += MINUTE_MS) {
    const [day = 0, month = 0, year = 0, hour = 0, minute = 0] = (format.format(at).match(/\d+/g) ?? []).map(
      Number,
    )
    const wall = Date.UTC(year, month - 1, day, hour, minute)
    minutes.push({ at, minute, hour, day, month, weekday: new Date(wall).getUTCDay(), wall })
  }
  return [...Map.groupBy(minutes, ({ wall }) => Math.floor(wall / DAY_MS)).values()]
}

/** Vixie cron's rules, minute by minute. */
function searchAll(schedule: string, days: Minute[][]): number[] {
  const [minute = '', hour = '', day = '', month = '', weekday = ''] = schedule.split(' ')
  const [inMinute, inHour, inMonth] = [valuesOf(minute, 0, 59), valuesOf(hour, 0, 23), valuesOf(month, 1, 12)]
  const either = day !== '*' && weekday !== '*'
  const comes = days.filter(([one]) => {
    if (one === undefined || !inMonth.has(one.month)) return false
    const [byDay, byWeekday] = [isDay(day, one), isWeekday(weekday, one)]
    return either ? byDay || byWeekday : byDay && byWeekday
  })
  if (/[*/]/.test(`${minute}${hour}`))
    return comes
      .flat()
      .filter((one) => inMinute.has(one.minute) && inHour.has(one.hour))
      .map(({ at }) => at)

  const found = new Set<number>()
  for (const ofDay of comes) {
    const midnight = Math.floor((ofDay[0]?.wall ?? 0) / DAY_MS) * DAY_MS
    for (const h of inHour) {
      for (const m of inMinute) {
        const wall = midnight + (h * 60 + m) * MINUTE_MS
        const there = ofDay.find((one) => one.wall === wall) ?? ofDay.find((one) => one.wall > wall)
        if (there !== undefined) found.add(there.at)
      }
    }
  }
  return [...found].toSorted((a, b) => a - b)
}

function isDay(field: string, { day, wall }: Minute): boolean {
  const date = new Date(wall)
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate()
  if (field === 'L') return day === last
  if (!field.endsWith('W')) return valuesOf(field, 1, 31).has(day)
  // Of the days from Monday to Friday the one next to it, in the same month.
  const named = Number(field.slice(0, -1))
  const at = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), named)).getUTCDay()
  const saturday = named === 1 ? 2 : -1
  const sunday = named === last ? -2 : 1
  return named <= last && day === named + (at === 6 ? saturday : at === 0 ? sunday : 0)
}

function isWeekday(field: string, { day, weekday, wall }: Minute): boolean {
  const [, named, nth] = /^(\d)(?:#(\d)|L)$/.exec(field) ?? []
  if (named === undefined) return valuesOf(field, 0, 7).has(weekday)
  const inAWeek = new Date(wall + 7 * DAY_MS).getUTCDate()
  return (
    weekday === Number(named) % 7 && (nth === undefined ? inAWeek < day : Math.ceil(day / 7) === Number(nth))
  )
}

function valuesOf(field: string, lowest: number, highest: number): Set<number> {
  const values = new Set<number>()
  for (const part of field.split(',')) {
    const [range = '', step = '1'] = part.split('/')
    const [first, last] = range === '*' ? [lowest, highest] : range.split('-').map(Number)
    for (let value = first ?? 0; value <= (last ?? first ?? 0); value += Number(step)) values.add(value)
  }
  if (highest === 7 && values.has(7)) values.add(0)
  return values
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Dense in the small hours, where clocks are changed. */
function randomSchedule(random: () => number): string {
  const from = (lowest: number, highest: number) => lowest + Math.floor(random() * (highest - lowest + 1))
  const pick = (...choices: string[]) => choices[from(0, choices.length - 1)] ?? ''
  const field = (lowest: number, highest: number, anyShare: number) => {
    if (random() < anyShare) return '*'
    const kind = random()
    const a = from(lowest, highest)
    const b = from(a, highest)
    if (kind < 0.4) return String(a)
    if (kind < 0.6) return `${a},${from(lowest, highest)}`
    if (kind < 0.75) return `${a}-${b}`
    if (kind < 0.9) return `*/${from(1, Math.ceil((highest - lowest) / 2))}`
    return `${a}-${b}/${from(1, Math.max(1, b - a))}`
  }
  const hour = random() < 0.6 ? field(0, 4, 0.1) : field(0, 23, 0.4)
  const day = () => (random() < 0.1 ? pick('L', `${from(1, 31)}W`) : field(1, 31, 0.6))
  const weekday = () =>
    random() < 0.15 ? pick(`${from(0, 7)}L`, `${from(0, 7)}#${from(1, 5)}`) : field(0, 7, 0.6)
  return [field(0, 59, 0.2), hour, day(), field(1, 12, 0.8), weekday()].join(' ')
}
