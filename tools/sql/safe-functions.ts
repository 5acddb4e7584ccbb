/**
 * PostgreSQL's functions that compute from their arguments alone, or read the clock: no files, no network, no settings,
 * no other sessions, no statements in texts, no sequences. What is not here is refused.
 */
export const SAFE_FUNCTIONS = new Set(
  `
  abs acos asin atan atan2 cbrt ceil ceiling cos cot degrees div exp factorial floor gcd lcm ln log log10 mod pi
  power radians random round scale min_scale trim_scale sign sin sqrt tan trunc width_bucket numeric int4 int8 float8
  ascii bit_length btrim char_length character_length chr concat concat_ws format initcap left length lower ltrim
  md5 normalize is_normalized octet_length overlay parse_ident position quote_ident quote_literal quote_nullable
  regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
  regexp_split_to_table regexp_substr replace reverse right rtrim split_part starts_with string_to_array
  string_to_table strpos substr substring to_hex translate trim unistr upper encode decode sha224 sha256 sha384 sha512
  like_escape similar_to_escape similar_escape text varchar name
  to_char to_date to_number to_timestamp
  age clock_timestamp date_bin date_part date_trunc date_add date_subtract extract isfinite justify_days justify_hours
  justify_interval make_date make_interval make_time make_timestamp make_timestamptz now overlaps statement_timestamp
  timeofday timezone transaction_timestamp date time timestamp timestamptz interval
  array_append array_cat array_dims array_length array_lower array_ndims array_position array_positions
  array_prepend array_remove array_replace array_reverse array_sort array_to_string array_upper cardinality trim_array
  unnest array_to_json array_agg any_value avg bit_and bit_or bit_xor bool_and bool_or count every json_agg json_object_agg
  jsonb_agg jsonb_object_agg max min range_agg range_intersect_agg string_agg sum corr covar_pop covar_samp regr_avgx
  regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp
  var_pop var_samp variance mode percentile_cont percentile_disc rank dense_rank percent_rank cume_dist row_number
  ntile lag lead first_value last_value nth_value grouping
  json_array_elements json_array_elements_text json_array_length json_build_array json_build_object json_each
  json_each_text json_extract_path json_extract_path_text json_object json_object_keys json_populate_record
  json_strip_nulls json_to_record json_to_recordset json_typeof jsonb_array_elements jsonb_array_elements_text
  jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path
  jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_keys jsonb_path_exists jsonb_path_match
  jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_pretty jsonb_set jsonb_strip_nulls
  jsonb_to_record jsonb_to_recordset jsonb_typeof row_to_json to_json to_jsonb
  coalesce nullif greatest least num_nonnulls num_nulls
  generate_series generate_subscripts
  gen_random_uuid uuidv4 uuidv7 isempty lower_inc lower_inf upper_inc upper_inf range_merge multirange
  daterange int4range int8range numrange tsrange tstzrange
  to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery to_tsvector ts_headline ts_rank ts_rank_cd
  tsvector_to_array setweight strip numnode querytree
  host masklen netmask network broadcast family hostmask abbrev inet_same_family
  area center diameter height width radius npoints point box circle lseg path polygon line
  get_bit get_byte set_bit set_byte bit_count pg_column_size pg_typeof
  `
    .split(/\s+/)
    .filter((name) => name !== ''),
)

/** Operators that are PostgreSQL's own, and as harmless. */
export const SAFE_OPERATORS = new Set(
  '= <> != < > <= >= + - * / % ^ |/ ||/ @ & | # ~ << >> || ~~ !~~ ~~* !~~* ~* !~ !~* -> ->> #> #>> @> <@ ? ?| ?& #- @? @@ && -|- <-> BETWEEN'
    .split(' ')
    .concat([
      'NOT BETWEEN',
      'BETWEEN SYMMETRIC',
      'NOT BETWEEN SYMMETRIC',
      '^@',
      '&<',
      '&>',
      '>>=',
      '<<=',
      '@-@',
      '##',
      '~=',
    ]),
)
