"""Data planes: what carries out the forwarding plan. One interface (`plane`), one engine each."""
