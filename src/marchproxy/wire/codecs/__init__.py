"""What codecs say of themselves: the records that encoders send before media, read into what containers must write.

`record` has the values, `bits` the reading; a module for each codec. No picture or sound is ever decoded.
"""
