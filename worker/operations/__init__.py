"""Operations on an application as a whole: checks at start, lost inputs and topics, replay of dead letters."""
