import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** The part of IPv6 that is assigned to the public internet. */
const GLOBAL_UNICAST: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('2000::'), 3]

/**
 * Whether a numeric address is one of the public internet. IPv4 has to be plain unicast; IPv6 has to be in 2000::/3
 * and no form that carries an IPv4 address (6to4, Teredo, ISATAP; mapped and NAT64 forms are outside of 2000::/3).
 */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return ipaddr.IPv4.parse(address).range() === 'unicast'
    case 6:
      return !address.includes('%') && isPublicV6(ipaddr.IPv6.parse(address))
    default:
      return false
  }
}

function isPublicV6(address: ipaddr.IPv6): boolean {
  return address.match(GLOBAL_UNICAST) && address.range() === 'unicast' && !isIsatap(address)
}

/** RFC 5214: an interface identifier of 0000:5efe or 0200:5efe, and an IPv4 address behind it. */
function isIsatap(address: ipaddr.IPv6): boolean {
  const [first, second, third, fourth] = address.toByteArray().slice(8, 12)
  return (first === 0x00 || first === 0x02) && second === 0x00 && third === 0x5e && fourth === 0xfe
}
