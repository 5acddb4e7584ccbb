import { z } from 'zod'
import { serviceKey } from '../runtime/services.ts'
import type { Clock } from '../runtime/ports.ts'
import { defineTool } from './define.ts'

/** The server's, which is the database's. */
export const CLOCK = serviceKey<Clock>('clock')

const TimeZone = z
  .string()
  .min(1)
  .max(64)
  .refine(isTimeZone, 'must be a time zone of the IANA database, such as Europe/Berlin')

export const currentTime = defineTool({
  name: 'current_time',
  description:
    'Says what day and time it is now, in a time zone of the IANA database such as "Europe/Berlin"; UTC unless you name ' +
    'one. It does not convert other times.',
  schema: z.object({ time_zone: TimeZone.default('UTC') }),
  risk: 'low',
  effect: 'none',
  trusted: true,

  async run({ time_zone }, call) {
    return inZone(await call.service(CLOCK)(), time_zone)
  },
})

function inZone(now: Date, timeZone: string) {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    weekday: 'long',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'longOffset',
  })
  const part = Object.fromEntries(format.formatToParts(now).map(({ type, value }) => [type, value]))
  const offset = part['timeZoneName'] === 'GMT' ? '+00:00' : (part['timeZoneName'] ?? '').slice('GMT'.length)
  const date = `${part['year']}-${part['month']}-${part['day']}`
  return {
    time: `${date}T${part['hour']}:${part['minute']}:${part['second']}${offset}`,
    weekday: part['weekday'],
    time_zone: timeZone,
    utc: now.toISOString(),
  }
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name })
    return true
  } catch {
    return false
  }
}
