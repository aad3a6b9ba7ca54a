//go:build duckdb_arrow

package view

import "strings"

// scalar lists the functions a view may call: each gives the same result for the same arguments, on every machine, at any
// time (invariant 2). A function is added here only when that has been read in its documentation; a number is the fewest
// arguments it may have, where a form with fewer reads the clock.
var scalar = set(`
	+ - * / // % ^ ** & | << >> ~ || ~~ !~~ ~~* !~~* ~~~ ^@ -> ->>
	abs ceil ceiling floor round trunc sign mod fmod power pow sqrt cbrt exp ln log log2 log10 pi radians degrees sin cos tan
	asin acos atan atan2 greatest least gcd lcm factorial bit_count even divide isnan isinf isfinite nextafter xor
	lower lcase upper ucase trim ltrim rtrim length len strlen bit_length char_length character_length substr substring left
	right replace translate concat concat_ws split_part string_split str_split regexp_replace regexp_matches regexp_extract
	regexp_full_match regexp_extract_all position strpos instr starts_with prefix suffix ends_with contains lpad rpad reverse
	repeat chr ascii ord unicode md5 sha1 sha256 hex to_hex unhex from_hex base64 to_base64 from_base64 encode decode format
	printf levenshtein damerau_levenshtein hamming jaccard jaro_similarity jaro_winkler_similarity strip_accents nfc_normalize
	like_escape not_like_escape ilike_escape not_ilike_escape url_encode url_decode
	coalesce ifnull nullif if
	date_trunc datetrunc date_part datepart date_diff datediff date_sub datesub date_add year month day hour minute second
	millisecond microsecond quarter week weekofyear yearweek dayofweek weekday isodow dayofmonth dayofyear isoyear century
	decade era dayname monthname strftime strptime try_strptime to_timestamp epoch epoch_ms epoch_us make_date make_time
	make_timestamp make_timestamptz last_day timezone time_bucket to_years to_months to_weeks to_days to_hours to_minutes
	to_seconds to_milliseconds to_microseconds
	json_extract json_extract_string json_extract_path json_extract_path_text json_value json_array_length json_valid json_type
	json_exists json_contains json_keys array_extract list_extract list_contains list_has array_contains array_length list_aggr
	array_to_string list_position list_sort list_distinct list_value
`)

// age(timestamp) counts from today; age(timestamp, timestamp) does not.
var fewestArguments = map[string]int{"age": 2}

// orderFree aggregates give the same result in any order of rows.
var orderFree = set(`count count_star count_if countif min max bool_and bool_or bit_and bit_or bit_xor median`)

// ordered aggregates depend on the order of rows: by design, or because floating-point sums do. They are sorted down to
// primary keys.
var ordered = set(`sum avg mean sum_no_overflow string_agg group_concat listagg first last any_value arbitrary stddev stddev_samp
	stddev_pop var_samp var_pop variance product fsum kahan_sum favg`)

// windowFree functions over a window do not depend on the order among equal rows.
var windowFree = set(`rank dense_rank rank_dense percent_rank cume_dist`)

// windowOrdered functions over a window depend on it and are sorted down to primary keys.
var windowOrdered = set(`row_number ntile lag lead first_value first`)

// windowAggregates may be taken over a window.
var windowAggregates = set(`count count_star count_if min max bool_and bool_or sum avg mean`)

func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// clocks are the names people use for the present time.
var clocks = set(`now current_date current_time current_timestamp localtime localtimestamp transaction_timestamp get_current_time
	get_current_timestamp today current_localtime current_localtimestamp txid_current`)

// chances are functions whose result differs from call to call.
var chances = set(`random setseed uuid gen_random_uuid uuidv4 uuidv7 nextval currval`)

const (
	insteadOfClock  = "the row would change without any change in its sources; select the timestamps themselves and compare them with the clock in the dashboard or in a job"
	insteadOfRandom = "derive the value from the key, e.g. md5(CAST(id AS VARCHAR))"
)

// refusal says why a function is refused.
func refusal(name string) (what, instead string) {
	switch {
	case clocks[name]:
		return name + " changes with the clock", insteadOfClock
	case chances[name]:
		return name + "() differs from call to call", insteadOfRandom
	case name == "arg_max" || name == "argmax" || name == "max_by":
		return name + "() picks any of several equal rows", "write first(value ORDER BY rank DESC)"
	case name == "arg_min" || name == "argmin" || name == "min_by":
		return name + "() picks any of several equal rows", "write first(value ORDER BY rank)"
	case name == "last_value" || name == "nth_value" || name == "last":
		return name + "() over a window depends on its frame", "write first_value with the opposite ORDER BY"
	case name == "list" || name == "array_agg":
		return name + "() gives a list, which no warehouse column holds", "write string_agg(value, ',' ORDER BY rank)"
	}
	return name + "() is not among the functions known to give the same result every time", "use another function, or do this step in a job on the warehouse"
}
