/** The words of a column name or phrase: camelCase split, no accents, singular. */
export function wordsOf(text: string): string[] {
  return text
    .replace(/(\p{Ll})(\p{Lu})/gu, '$1 $2')
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .split(/[^\p{L}\p{N}%]+/u)
    .filter((word) => word !== '' && !FILLERS.has(word))
    .map(singular)
}

/**
 * How well a phrase of the task fits a name: 2 for the same words, 0 for none in common. All of the phrase
 * counts more than all of the name: "customer" fits "Customer Name" better than "customer since" fits "customer".
 */
export function likeness(phrase: readonly string[], name: readonly string[]): number {
  if (phrase.length === 0 || name.length === 0) return 0
  if (phrase.join(' ') === name.join(' ')) return 2
  const best = (word: string, others: readonly string[]) =>
    Math.max(...others.map((other) => alike(word, other)))
  const share = (some: readonly string[], others: readonly string[]) =>
    some.reduce((sum, word) => sum + best(word, others), 0) / some.length
  return 0.7 * share(phrase, name) + 0.3 * share(name, phrase)
}

/** Whether two words are the same, mean the same, abbreviate each other or differ by a slip. */
function alike(a: string, b: string): number {
  if (a === b) return 1
  const meaning = MEANINGS.get(a)
  if (meaning !== undefined && meaning === MEANINGS.get(b)) return 0.8
  const [short, long] = a.length < b.length ? [a, b] : [b, a]
  if (short.length >= 4 && long.startsWith(short)) return 0.75
  if (short.length >= 5 && long.length - short.length <= 1 && distanceIsOne(short, long)) return 0.75
  // German and Dutch write compounds as one word: "Gesamtbetrag", "Kundenname".
  return short.length >= 5 && long.includes(short) ? 0.6 : 0
}

/** What a word is about, by any of its synonyms. */
export function meaningOf(word: string): string | undefined {
  return MEANINGS.get(word)
}

function singular(word: string): string {
  if (word.endsWith('ies') && word.length > 4) return word.replace(/ies$/, 'y')
  if (/(?:ss|us|is)$/.test(word) || word.length < 4) return word
  return word.replace(/(?<=ch|sh|x|ss)es$|s$/, '')
}

function distanceIsOne(short: string, long: string): boolean {
  let at = 0
  while (at < short.length && short[at] === long[at]) at++
  const rest = long.slice(at + 1)
  if (short.length < long.length) return short.slice(at) === rest
  const swapped =
    short[at] === long[at + 1] && short[at + 1] === long[at] && short.slice(at + 2) === long.slice(at + 2)
  return short.slice(at + 1) === rest || swapped
}

const FILLERS = new Set('the a an of in for all our my their its every each to and or'.split(' '))

const SYNONYMS = [
  'customer client buyer purchaser kunde klient cliente klant acheteur shopper debtor payer cust account company firm',
  'amount total sum value revenue turnover betrag summe umsatz gesamt importe montant bedrag amt subtotal wert worth ' +
    'spend spent spending paid payment expense cost charge valor brutto netto sale due',
  'price preis prix precio prijs',
  'quantity qty menge anzahl cantidad quantite aantal piece unit volume stuck',
  'product item article artikel produkt producto produit good',
  'region area territory zone district province bundesland',
  'country land nation pais pays',
  'city town ort stadt ville ciudad place',
  'employee rep representative seller salesperson agent staff mitarbeiter vendedor associate clerk',
  'category kategorie type kind class segment categoria categorie',
  'supplier vendor lieferant provider merchant fournisseur proveedor',
  'department dept division team abteilung',
  'date day datum fecha',
  'store shop branch outlet filiale',
  'order auftrag bestellung pedido commande',
]

const MEANINGS = new Map(
  SYNONYMS.flatMap((line) => {
    const words = line.split(' ')
    return words.map((word): [string, string] => [word, words[0] ?? word])
  }),
)
