"""Functions of MySQL and MariaDB that give a replica's reader what the primary would: built in, and of their arguments only.

What depends on the clock is among them: a server's clock is its own, but a reader asks for the time, not for a server.
"""

from marchproxy.modules.dblb.sql import Volatility

_NAMES = """
abs acos add_months adddate addtime aes_decrypt any_value area ascii asin atan atan2 avg
bin bin_to_uuid bit_and bit_count bit_length bit_or bit_xor
cast ceil ceiling centroid char char_length character_length charset chr coalesce coercibility collation compress
concat concat_ws contains conv convert convert_tz cos cot count crc32 crc32c cume_dist curdate
current_date current_time current_timestamp current_user curtime
database date date_add date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear degrees dense_rank
dimension disjoint distance
elt endpoint envelope equals exp export_set exteriorring extract extractvalue
field find_in_set first_value floor format format_bytes format_pico_time from_base64 from_days from_unixtime
geometryn geometrytype get_format glength greatest group_concat grouping
hex hour
if ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr intersects interval is_ipv4 is_ipv4_compat
is_ipv4_mapped is_ipv6 is_uuid isclosed isempty isnull
json_array json_array_append json_array_insert json_array_intersect json_arrayagg json_compact json_contains
json_contains_path json_depth json_detailed json_equals json_exists json_extract json_insert json_key_value json_keys
json_length json_loose json_merge json_merge_patch json_merge_preserve json_normalize json_object
json_object_filter_keys json_object_to_array json_objectagg json_overlaps json_pretty json_query json_quote
json_remove json_replace json_search json_set json_table json_type json_unquote json_valid json_value
lag last_day last_value lcase lead least left length lengthb ln localtime localtimestamp locate log log10 log2 lower
lpad ltrim
make_set makedate maketime max mbrcontains mbrequal mbrintersects mbrwithin md5 median microsecond mid min minute mod
month monthname
name_const natural_sort_key now nth_value ntile nullif numgeometries numinteriorrings numpoints nvl nvl2
oct octet_length ord
percent_rank percentile_cont percentile_disc period_add period_diff pi point pointn position pow power
quarter quote
radians rank regexp_instr regexp_like regexp_replace regexp_substr repeat replace reverse right round row row_number
rpad rtrim
schema sec_to_time second sformat sha sha1 sha2 sign sin soundex space sqrt st_area st_asbinary st_asgeojson st_astext
st_buffer st_centroid st_contains st_crosses st_difference st_dimension st_disjoint st_distance st_distance_sphere
st_envelope st_equals st_geomfromgeojson st_geomfromtext st_geomfromwkb st_intersection st_intersects st_isvalid
st_length st_makeenvelope st_numpoints st_overlaps st_point st_pointfromtext st_simplify st_srid st_touches st_union
st_within st_x st_y startpoint std stddev stddev_pop stddev_samp str_to_date strcmp subdate substr substring
substring_index subtime sum
tan time time_format time_to_sec timediff timestamp timestampadd timestampdiff to_base64 to_char to_days to_seconds
touches trim truncate
ucase uncompress uncompressed_length unhex unix_timestamp updatexml upper utc_date utc_time utc_timestamp uuid_to_bin
values var_pop var_samp variance
week weekday weekofyear weight_string within
x y year yearweek
"""  # the manuals' lists of functions, without those that lock, wait, roll dice, read files, or tell of the session

_KNOWN = frozenset(_NAMES.split())
#: Types that take a length, which to the eye are called.
_TYPES = frozenset(
    [
        "binary",
        "bit",
        "char",
        "character",
        "datetime",
        "decimal",
        "dec",
        "double",
        "enum",
        "fixed",
        "float",
        "int",
        "integer",
        "nchar",
        "numeric",
        "nvarchar",
        "real",
        "signed",
        "smallint",
        "tinyint",
        "unsigned",
        "varbinary",
        "varchar",
        "bigint",
        "mediumint",
        "over",
        "match",
        "against",
        "on",
    ]
)


def volatility(name: str) -> Volatility | None:
    """What is known of a function; None for stored and loadable ones, and for all that were forgotten here."""
    return Volatility.STABLE if name in _KNOWN or name in _TYPES else None
