"""From event tables to matrices: interactions, histories and (user, item) pair features. Pure: frame in, arrays out."""
