package clinic

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// What people, drugs and notes look like. Names carry accents and other scripts on purpose: a line that loses a byte
// of them is wrong, however plausible its numbers.
func firstNames() []string {
	return []string{"Ayu", "Budi", "Citra", "Dewi", "Eko", "Fitri", "Gilang", "Hana", "Indra", "Joko", "Kartika", "Lestari",
		"Made", "Nadia", "Oki", "Putri", "Rahmat", "Sari", "Tri", "Umar", "Vina", "Wayan", "Yusuf", "Zahra", "Renée", "Søren", "美玲", "Олена"}
}

func lastNames() []string {
	return []string{"Pratama", "Wijaya", "Santoso", "Nugroho", "Hidayat", "Siregar", "Halim", "Utami", "Saputra", "Wibowo",
		"Simanjuntak", "O'Neill", "Müller", "Nguyễn", "陳", "Коваль"}
}

func cities() []string {
	return []string{"Jakarta", "Bandung", "Surabaya", "Medan", "Denpasar", "Makassar", "Yogyakarta", "Semarang", "Palembang", "Balikpapan"}
}

func specialties() []string {
	return []string{"general", "pediatrics", "cardiology", "dermatology", "psychiatry"}
}

type product struct {
	sku   string
	price int64 // in cents
}

func products() []product {
	names := []string{"paracetamol-500", "ibuprofen-400", "amoxicillin-500", "cetirizine-10", "omeprazole-20", "metformin-850",
		"amlodipine-5", "salbutamol-inh", "ors-sachet", "vitamin-c-500", "zinc-20", "thermometer", "masks-50", "bandage-10cm"}
	all := make([]product, len(names))
	for i, n := range names {
		all[i] = product{sku: n, price: int64(1250 + 1775*i)}
	}
	return all
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

func fullName(rng *rand.Rand) string { return pick(rng, firstNames()) + " " + pick(rng, lastNames()) }

func phone(rng *rand.Rand) string {
	return fmt.Sprintf("+62 8%02d %04d %04d", rng.IntN(100), rng.IntN(10000), rng.IntN(10000))
}

// email is missing for one in five.
func email(rng *rand.Rand) any {
	if rng.IntN(5) == 0 {
		return nil
	}
	return fmt.Sprintf("p%08x@example.com", rng.Uint32())
}

func birthDate(rng *rand.Rand) any {
	if rng.IntN(20) == 0 {
		return nil
	}
	return time.Date(1935+rng.IntN(90), time.Month(1+rng.IntN(12)), 1+rng.IntN(28), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

// notes are NULL for half, then empty, short, awkward and, for one in two hundred, large.
func notes(rng *rand.Rand) any {
	switch n := rng.IntN(200); {
	case n < 100:
		return nil
	case n < 110:
		return ""
	case n < 170:
		return pick(rng, []string{"follow-up in two weeks", "prefers mornings", "allergic to penicillin", "interpreter needed"})
	case n < 199:
		return "says: \"it hurts\"\tsince\nMonday; 50 % worse \\ 'really' 😷 — " + fullName(rng)
	default:
		return strings.Repeat(fullName(rng)+". ", 1000+rng.IntN(1000))
	}
}

// money writes cents as a decimal: floats have no place in amounts.
func money(cents int64) string {
	sign := ""
	if cents < 0 {
		sign, cents = "-", -cents
	}
	return fmt.Sprintf("%s%d.%02d", sign, cents/100, cents%100)
}

// fee of a consultation, in cents.
func fee(rng *rand.Rand) int64 { return int64(50+rng.IntN(40)*10) * 100 }
