"""Emotion in one's own conversations: turns from recordings and a table, their words, what a model says of each."""

from affectra.predict.conversation.model import DialogueModel, TurnPrediction, load
from affectra.predict.conversation.outputs import ConversationOutput, conversation_textgrid
from affectra.predict.conversation.turns import (
    Conversation,
    Turn,
    conversation_of_files,
    conversations_of,
    parse_channels,
    read_conversations,
)
from affectra.predict.conversation.words import Words, find_words

__all__ = [
    "Conversation",
    "ConversationOutput",
    "DialogueModel",
    "Turn",
    "TurnPrediction",
    "Words",
    "conversation_of_files",
    "conversation_textgrid",
    "conversations_of",
    "find_words",
    "load",
    "parse_channels",
    "read_conversations",
]
